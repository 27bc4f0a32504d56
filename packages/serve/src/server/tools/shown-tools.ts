import type { ModelCard } from '../../engine/contract.js';
import type { ToolCallsFormat, ToolFormat } from '../../grammar/index.js';
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
  /** Whether it may call only one. */
  readonly isSingle: boolean;
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
  const isForced = named !== null || choice === 'required';
  return { tools, names, format: card.toolFormat, isForced, isSingle: body.parallel_tool_calls === false };
}

const ANY_ARGUMENTS = { type: 'object' };
const NO_ARGUMENTS = { type: 'object', properties: {} };

/**
 * What an answer has to be so that its calls are as was asked: those of `strict` functions, and the one that must come, by their
 * schemas, and no more than are wanted. Undefined: whatever the model writes will do.
 */
export function callFormat({
  tools,
  names,
  format,
  isForced,
  isSingle,
}: ShownTools): ToolCallsFormat | undefined {
  const callable = tools.map((tool) => tool.function).filter(({ name }) => names.has(name));
  if (!isForced && !isSingle && !callable.some(({ strict }) => strict)) return undefined;
  const functions = callable.map(({ name, parameters, strict }) => ({
    name,
    parameters: strict || isForced ? { ...ANY_ARGUMENTS, ...(parameters ?? NO_ARGUMENTS) } : ANY_ARGUMENTS,
  }));
  return { type: 'tool-calls', style: isForced ? 'forced' : format, functions, single: isSingle };
}
