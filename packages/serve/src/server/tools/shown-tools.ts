import type { ModelCard } from '../../engine/contract.js';
import type { ToolFormat } from '../../engine/tool-format.js';
import type { OutputFormat } from '../../grammar/index.js';
import { ApiError } from '../api-error.js';
import type { ChatCompletionBody } from '../schemas.js';

type Tool = NonNullable<ChatCompletionBody['tools']>[number];

/** The functions that a model is shown, and how it calls them. */
export interface ShownTools {
  readonly tools: readonly Tool[];
  /** Those that it may call. */
  readonly names: ReadonlySet<string>;
  readonly format: ToolFormat;
  /** Whether it has to call one. The answer is then the JSON of one call, whatever the model's own way of writing it. */
  readonly isForced: boolean;
}

/** Null when the model is shown none. @throws ApiError when its chat template knows of no functions */
export function shownTools(body: ChatCompletionBody, card: ModelCard | undefined): ShownTools | null {
  const { tools, tool_choice: choice } = body;
  if (!tools?.length || choice === 'none' || !card) return null;
  if (!card.toolFormat) {
    const message = `The chat template of ${card.name} knows of no functions: leave 'tools' out.`;
    throw new ApiError(400, 'unsupported_parameter', message, 'tools');
  }
  const named = typeof choice === 'object' && choice ? choice.function.name : null;
  const names = new Set(named === null ? tools.map((tool) => tool.function.name) : [named]);
  return { tools, names, format: card.toolFormat, isForced: named !== null || choice === 'required' };
}

/** What an answer has to be that must call one of the functions, by their own schemas. */
export function callFormat({ tools, names }: ShownTools): OutputFormat {
  const callable = tools.filter((tool) => names.has(tool.function.name));
  const call = ({ function: { name, parameters } }: Tool) => ({
    type: 'object',
    properties: { name: { const: name }, arguments: parameters ?? { type: 'object', properties: {} } },
    required: ['name', 'arguments'],
    additionalProperties: false,
  });
  return { type: 'json-schema', schema: { anyOf: callable.map(call) } };
}
