import type { Template } from '@huggingface/jinja';

/** What Python's `str.isspace` says of single characters. */
const SPACES =
  '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a' +
  '\u2028\u2029\u202f\u205f\u3000';

interface Ends {
  readonly start: boolean;
  readonly end: boolean;
}

const methods: Readonly<Record<string, Ends>> = {
  strip: { start: true, end: true },
  lstrip: { start: true, end: false },
  rstrip: { start: false, end: true },
};

/** A name that no template can use for a variable of its own. */
const functionName = (method: string) => `str.${method}`;

/** The functions that {@link stripAsPython} calls, as variables for a template. */
export const stripFunctions: Readonly<Record<string, (text: unknown, characters?: unknown) => string>> =
  Object.fromEntries(
    Object.entries(methods).map(([method, ends]) => [
      functionName(method),
      (text: unknown, characters?: unknown) => strip(text, characters, { method, ends }),
    ]),
  );

/**
 * Calls of `strip`, `lstrip` and `rstrip`, and the filter `trim`, become calls of {@link stripFunctions}: the library drops the
 * methods' argument, so that `strip('\n')` would take the spaces with which an answer's code begins as well, and its spaces are
 * JavaScript's.
 */
export function stripAsPython({ parsed }: Template): void {
  visit(parsed);
}

interface Node {
  type?: string;
  callee?: Node;
  args?: unknown[];
  value?: unknown;
  readonly object?: Node;
  readonly property?: Node;
  readonly computed?: boolean;
  readonly operand?: Node;
  readonly filter?: Node;
}

function visit(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof Map) for (const entry of value) visit(entry);
  for (const child of Object.values(value)) visit(child);
  const node = value as Node;
  if (node.type === 'CallExpression') replaceMethod(node);
  else if (node.type === 'FilterExpression') replaceFilter(node);
}

function replaceMethod(node: Node): void {
  const { callee, args = [] } = node;
  if (callee?.type !== 'MemberExpression' || callee.computed || !callee.property) return;
  const method = String(callee.property.value);
  if (Object.hasOwn(methods, method)) makeCall(node, callee.property, method, [callee.object, ...args]);
}

function replaceFilter(node: Node): void {
  const { filter, operand } = node;
  const name = filter?.type === 'CallExpression' ? filter.callee : filter;
  if (name?.type !== 'Identifier' || name.value !== 'trim') return;
  makeCall(node, name, 'strip', [operand, ...(filter?.args ?? [])]);
}

function makeCall(node: Node, name: Node, method: string, args: unknown[]): void {
  name.value = functionName(method);
  Object.assign(node, { type: 'CallExpression', callee: name, args });
}

function strip(
  text: unknown,
  characters: unknown,
  { method, ends }: { readonly method: string; readonly ends: Ends },
): string {
  if (typeof text !== 'string') throw new TypeError(`${method}() of what is no string`);
  const kept = Array.from(text);
  const gone = new Set(typeof characters === 'string' ? characters : SPACES);
  const isGone = (character: string) => gone.has(character);
  let [first, last] = [0, kept.length];
  if (ends.start) while (first < last && isGone(kept[first])) first++;
  if (ends.end) while (last > first && isGone(kept[last - 1])) last--;
  return kept.slice(first, last).join('');
}
