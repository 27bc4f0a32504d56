import { charactersOf, codePoint, complement, difference } from './character-set.js';
import {
  characters,
  choice,
  type Expression,
  type Grammar,
  type GraphEdge,
  literal,
  optional,
  repeat,
  rule,
  sequence,
} from './expression.js';
import { SchemaCompiler } from './json-schema/compile-schema.js';
import { COMMA, JSON_RULES, member, objectOf, SPACE } from './json-schema/json-text.js';

/**
 * How a model writes that it calls a function:
 * - `hermes` (Qwen too): `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, between texts
 * - `llama3`: `{"name": …, "parameters": {…}}` alone
 * - `mistral`: `[TOOL_CALLS][{"name": …, "arguments": {…}}, …]`, or `[TOOL_CALLS]name[ARGS]{…}`
 */
export type ToolFormat = 'hermes' | 'llama3' | 'mistral';

/** Texts with calls of functions, or calls alone, whose arguments are valid for the function's schema. */
export interface ToolCallsFormat {
  readonly type: 'tool-calls';
  /** The model's own way to write calls beside text; `forced`: one call, as JSON and nothing else. */
  readonly style: ToolFormat | 'forced';
  readonly functions: readonly { readonly name: string; readonly parameters: unknown }[];
  /** At most one call. */
  readonly single: boolean;
}

/** What begins and parts calls: in some vocabularies special tokens, which no other text may hold. */
export const CALL_MARKS: Readonly<Record<ToolCallsFormat['style'], readonly string[]>> = {
  hermes: ['<tool_call>', '</tool_call>'],
  llama3: ['<|python_tag|>'],
  mistral: ['[TOOL_CALLS]', '[ARGS]'],
  forced: [],
};

/** @throws GrammarError for a schema that cannot be followed, which names the function */
export function toolCalls({ style, functions, single }: ToolCallsFormat): Grammar {
  const rules = new Map(JSON_RULES);
  const compiler = new SchemaCompiler(rules);
  for (const { name, parameters } of functions) {
    rules.set(`arguments of ${name}`, compiler.document(parameters, `the function ${name}`));
  }
  const names = functions.map(({ name }) => name);
  const call = (key: string) =>
    choice(
      ...names.map((name) =>
        objectOf(
          sequence(
            member(literal('"name"'), literal(JSON.stringify(name))),
            COMMA,
            member(literal(JSON.stringify(key)), rule(`arguments of ${name}`)),
            SPACE,
          ),
        ),
      ),
    );
  rules.set('call', call(style === 'llama3' ? 'parameters' : 'arguments'));
  rules.set('answer', answer(style, names, single));
  return { start: 'answer', rules };
}

function answer(style: ToolCallsFormat['style'], names: readonly string[], single: boolean): Expression {
  const call = rule('call');
  const more = (item: Expression) => (single ? sequence() : repeat(item, 0));
  switch (style) {
    case 'forced':
      return call;
    case 'hermes': {
      const tagged = sequence(literal('<tool_call>'), SPACE, call, SPACE, literal('</tool_call>'));
      const text = textWithout('<tool_call>');
      // One call alone ends the answer.
      return single ? sequence(text, optional(tagged)) : sequence(text, repeat(sequence(tagged, text), 0));
    }
    case 'llama3': {
      const next = sequence(literal(';'), SPACE, call);
      return choice(textNotLikeJson(), sequence(optional(literal('<|python_tag|>')), call, more(next)));
    }
    case 'mistral': {
      const mark = literal('[TOOL_CALLS]');
      const list = sequence(literal('['), call, more(sequence(COMMA, call)), literal(']'));
      const named = choice(
        ...names.map((name) =>
          sequence(literal(name), optional(literal('[ARGS]')), rule(`arguments of ${name}`)),
        ),
      );
      const calls = choice(sequence(SPACE, list), sequence(named, more(sequence(mark, named))));
      return sequence(textWithout('[TOOL_CALLS]'), optional(sequence(mark, calls)));
    }
  }
}

/** Any text that does not hold another: state i has read its first i characters (Knuth, Morris and Pratt 1977). */
function textWithout(mark: string): Expression {
  const letters = [...new Set(mark)];
  const end = mark.length;
  const edges: GraphEdge[] = [];
  for (let state = 0; state < mark.length; state++) {
    edges.push({ from: state, to: 0, expression: characters(complement(charactersOf(letters.join('')))) });
    for (const letter of letters) {
      const read = mark.slice(0, state) + letter;
      const to = Array.from(read, (_, i) => read.slice(i)).find((part) => mark.startsWith(part))?.length ?? 0;
      if (to < mark.length) edges.push({ from: state, to, expression: literal(letter) });
    }
    edges.push({ from: state, to: end });
  }
  return { kind: 'graph', nodes: end + 1, start: 0, end, edges };
}

/** What nobody takes for calls: it begins with no bracket and no tag of Llama's. */
function textNotLikeJson(): Expression {
  const space = charactersOf(' \n\r\t');
  const any = repeat(characters(complement([])), 0);
  const plain = characters(complement(charactersOf(' \n\r\t{[<')));
  const notTag = characters(difference(complement([]), [[codePoint('|'), codePoint('|')]]));
  const begun = choice(sequence(plain, any), sequence(literal('<'), optional(sequence(notTag, any))));
  return sequence(repeat(characters(space), 0), optional(begun));
}
