import type { ToolFormat } from '../../grammar/index.js';
import { BareParser } from './bare.js';
import { HermesParser } from './hermes.js';
import { MistralParser } from './mistral.js';
import type { ToolCallParser } from './tool-call.js';

/** @param names the functions that the model was shown */
export function toolCallParser(format: ToolFormat, names: ReadonlySet<string>): ToolCallParser {
  if (format === 'hermes') return new HermesParser(names);
  return format === 'llama3' ? new BareParser(names, 'parameters') : new MistralParser(names);
}
