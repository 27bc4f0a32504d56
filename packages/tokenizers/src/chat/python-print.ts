import type { Template } from '@huggingface/jinja';

/** What the library makes of a value of the template. */
interface RuntimeValue {
  readonly type: string;
  readonly value: unknown;
}

interface Node {
  type?: string;
  value?: unknown;
  left?: Node;
  right?: Node;
  readonly operator?: { readonly value: string };
  readonly operand?: Node;
  readonly filter?: Node & { readonly callee?: Node; readonly args?: readonly Node[] };
}

/** Names that no template can use for a variable of its own. */
const PRINT = 'str.print';
const JOIN = 'str.join';

/** The functions that {@link printAsPython} calls, as variables for a template. */
export const printFunctions = {
  [PRINT]: ([value]: readonly RuntimeValue[]) => text(value),
  [JOIN]: ([list, separator]: readonly RuntimeValue[]) =>
    itemsOf(list)
      .map(text)
      .join(separator ? text(separator) : ''),
};

/**
 * What is printed, joined and put together by `~` reads as Python writes it: `True`, `None`, `['a', 1.0]`. The library writes
 * JSON, and nothing for `none`.
 */
export function printAsPython({ parsed }: Template): void {
  visit(parsed);
}

/** Statements that print what they are; text between them is a StringLiteral of its own. */
const printed = new Set([
  'ArrayLiteral',
  'BinaryExpression',
  'CallExpression',
  'FilterExpression',
  'FloatLiteral',
  'Identifier',
  'IntegerLiteral',
  'MemberExpression',
  'ObjectLiteral',
  'SelectExpression',
  'SliceExpression',
  'Ternary',
  'TestExpression',
  'TupleLiteral',
  'UnaryExpression',
]);
/** Fields of nodes that hold what is run one after the other. */
const blocks = ['body', 'alternate', 'defaultBlock'];

function visit(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (value instanceof Map) for (const entry of value) visit(entry);
  for (const child of Object.values(value)) visit(child);
  const node = value as Node & Record<string, unknown>;
  for (const name of blocks) {
    const block = node[name];
    if (Array.isArray(block))
      node[name] = block.map((statement: Node) =>
        printed.has(statement.type ?? '') ? call(PRINT, [statement]) : statement,
      );
  }
  if (node.type === 'BinaryExpression' && node.operator?.value === '~') {
    node.left = call(PRINT, [node.left as Node]);
    node.right = call(PRINT, [node.right as Node]);
  } else if (node.type === 'FilterExpression') replaceFilter(node);
}

function replaceFilter(node: Node): void {
  const { operand, filter } = node;
  const name = (filter?.callee ?? filter)?.value;
  const args = filter?.args ?? [];
  if (!operand || args.some(({ type }) => type === 'KeywordArgumentExpression')) return;
  if (name === 'string') Object.assign(node, call(PRINT, [operand]));
  else if (name === 'join') Object.assign(node, call(JOIN, [operand, ...args]));
}

/** All arguments in one list: the values of a list keep their types, those of a call do not. */
function call(name: string, values: Node[]): Node {
  const list = { type: 'ArrayLiteral', value: values };
  return { type: 'CallExpression', callee: { type: 'Identifier', value: name }, args: [list] } as Node;
}

/** Python's `str`; what is undefined prints as nothing in jinja2. */
function text(value: RuntimeValue): string {
  if (value.type === 'StringValue') return value.value as string;
  return value.type === 'UndefinedValue' ? '' : representation(value);
}

/** Python's `repr`. */
function representation(value: RuntimeValue): string {
  switch (value.type) {
    case 'StringValue':
      return quoted(value.value as string);
    case 'BooleanValue':
      return value.value ? 'True' : 'False';
    case 'NullValue':
      return 'None';
    case 'UndefinedValue':
      return 'Undefined';
    case 'FloatValue':
      return float(value.value as number);
    case 'ArrayValue':
      return `[${itemsOf(value).map(representation).join(', ')}]`;
    case 'TupleValue': {
      const items = itemsOf(value).map(representation);
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
    }
    case 'ObjectValue': {
      const entries = [...(value.value as Map<string, RuntimeValue>)];
      return `{${entries.map(([key, item]) => `${quoted(key)}: ${representation(item)}`).join(', ')}}`;
    }
    default:
      return String(value);
  }
}

function itemsOf({ type, value }: RuntimeValue): readonly RuntimeValue[] {
  if (type === 'StringValue') return Array.from(value as string, (character) => ({ type, value: character }));
  if (type === 'ObjectValue')
    return [...(value as Map<string, unknown>).keys()].map((key) => ({ type: 'StringValue', value: key }));
  if (type === 'UndefinedValue') return [];
  if (!Array.isArray(value)) throw new TypeError(`join() of what is no list`);
  return value;
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
/** What Python's `str.isprintable` denies: controls, surrogates, unassigned and private characters, separators but the space. */
const UNPRINTABLE = /[\p{C}\p{Z}]/u;

function quoted(string: string): string {
  const quote = string.includes("'") && !string.includes('"') ? '"' : "'";
  const escaped = Array.from(string, (character) => {
    if (character === quote) return `\\${quote}`;
    if (escapes[character]) return escapes[character];
    if (character === ' ' || !UNPRINTABLE.test(character)) return character;
    const code = character.codePointAt(0) as number;
    const [mark, digits] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
    return `\\${mark}${code.toString(16).padStart(digits as number, '0')}`;
  });
  return `${quote}${escaped.join('')}${quote}`;
}

/** The shortest digits that give the number back, as in JavaScript, written as in Python. */
function float(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [digits, power] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16)
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  const plain =
    exponent < 0
      ? value.toFixed(Math.max(0, digits.replace(/[-.]/g, '').length - 1 - exponent))
      : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}
