/** The model calls a function. `arguments` is JSON, as OpenAI's API has it: a text. */
export interface ToolCall {
  readonly name: string;
  readonly arguments: string;
}

export type Piece = { readonly text: string } | { readonly call: ToolCall };

/** Finds calls of functions in the text of one answer, as it comes. What is not a call of a known one stays text. */
export interface ToolCallParser {
  /** The pieces that became certain with this text. */
  push(text: string): readonly Piece[];
  /** What was held back. */
  end(): readonly Piece[];
}

/**
 * The calls in the JSON of a model: one, or a list. Null when it is not JSON, or calls something unknown.
 * @param argumentsKey where the arguments are: an object, or its JSON once more
 */
export function callsOf(
  json: string,
  names: ReadonlySet<string>,
  argumentsKey: 'arguments' | 'parameters',
): readonly ToolCall[] | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  const calls: ToolCall[] = [];
  for (const each of Array.isArray(value) ? value : [value]) {
    const { name, [argumentsKey]: given = {} } = (each ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || !names.has(name)) return null;
    const text = typeof given === 'string' ? given : JSON.stringify(given ?? {});
    if (!isJsonObject(text)) return null;
    calls.push({ name, arguments: text });
  }
  return calls.length > 0 ? calls : null;
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
