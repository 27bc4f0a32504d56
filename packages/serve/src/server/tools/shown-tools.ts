import type { ModelCard } from '../../engine/contract.js';
import type { ToolFormat } from '../../engine/tool-format.js';
import { ApiError } from '../api-error.js';
import type { ChatCompletionBody } from '../schemas.js';

type Tool = NonNullable<ChatCompletionBody['tools']>[number];

/** The functions that a model is shown, and how it calls them. */
export interface ShownTools {
  readonly tools: readonly Tool[];
  readonly names: ReadonlySet<string>;
  readonly format: ToolFormat;
}

/** Null when the model is shown none. @throws ApiError when its chat template knows of no functions */
export function shownTools(body: ChatCompletionBody, card: ModelCard | undefined): ShownTools | null {
  const { tools, tool_choice: choice } = body;
  if (!tools?.length || choice === 'none' || !card) return null;
  if (!card.toolFormat) {
    const message = `The chat template of ${card.name} knows of no functions: leave 'tools' out.`;
    throw new ApiError(400, 'unsupported_parameter', message, 'tools');
  }
  return { tools, names: new Set(tools.map((tool) => tool.function.name)), format: card.toolFormat };
}
