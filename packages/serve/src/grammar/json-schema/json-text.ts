import {
  ANY_CHARACTER,
  characterSet,
  charactersOf,
  codePoint,
  difference,
  intersection,
} from '../character-set.js';
import {
  characters,
  choice,
  type Expression,
  type GraphEdge,
  literal,
  optional,
  repeat,
  rule,
  sequence,
} from '../expression.js';

/** Characters that stand for themselves in a JSON string. */
const PLAIN = difference(ANY_CHARACTER, characterSet([[0, 0x1f], ...charactersOf('"\\')]));
/** Those with a short escape. */
const ESCAPED = charactersOf('"\\\b\f\n\r\t');

const DIGIT = characterSet([[0x30, 0x39]]);
const HEX = characterSet([
  [0x30, 0x39],
  [0x41, 0x46],
  [0x61, 0x66],
]);
export const digits = (min: number, max: number): Expression => repeat(characters(DIGIT), min, max);

/** Space between the parts of a document: enough for one line and for indented ones, too little to go on forever. */
export const SPACE = rule('space');
export const ANY_VALUE = rule('value');
export const STRING_CHARACTER = rule('character');
export const COMMA = sequence(literal(','), SPACE);

/** Digits in all at most: more would not survive in a double. */
export const MOST_DIGITS = 15;

/** Any JSON, without what parsers read differently: numbers beyond doubles, escapes of half a character. */
export const JSON_RULES: ReadonlyMap<string, Expression> = new Map([
  ['space', optional(choice(literal(' '), sequence(literal('\n'), repeat(literal(' '), 0, 16))))],
  [
    'character',
    choice(
      characters(PLAIN),
      sequence(literal('\\'), choice(characters(charactersOf('"\\/bfnrt')), unicodeEscape())),
    ),
  ],
  ['string', quoted(repeat(STRING_CHARACTER, 0))],
  ['integer', sequence(optional(literal('-')), wholeNumber())],
  [
    'number',
    sequence(rule('integer'), optional(sequence(literal('.'), digits(1, MOST_DIGITS))), optional(exponent())),
  ],
  ['boolean', choice(literal('true'), literal('false'))],
  ['null', literal('null')],
  ['array', arrayOf(optional(sequence(ANY_VALUE, repeat(sequence(COMMA, ANY_VALUE), 0), SPACE)))],
  ['object', objectOf(optional(sequence(anyMember(), repeat(sequence(COMMA, anyMember()), 0), SPACE)))],
  ['value', choice(...['object', 'array', 'string', 'number', 'boolean', 'null'].map(rule))],
]);

export function quoted(content: Expression): Expression {
  return sequence(literal('"'), content, literal('"'));
}

export function objectOf(members: Expression): Expression {
  return sequence(literal('{'), SPACE, members, literal('}'));
}

export function arrayOf(items: Expression): Expression {
  return sequence(literal('['), SPACE, items, literal(']'));
}

export function member(key: Expression, value: Expression): Expression {
  return sequence(key, literal(':'), SPACE, value);
}

/** Texts as they stand in a JSON string: with escapes where they are needed, and control characters only with a short one. */
export function escaped(expression: Expression): Expression {
  switch (expression.kind) {
    case 'characters': {
      const special = intersection(expression.set, ESCAPED).flatMap(([from, to]) =>
        Array.from({ length: to - from + 1 }, (_, i) => String.fromCodePoint(from + i)),
      );
      const plain = characters(intersection(expression.set, PLAIN));
      if (special.length === 0) return plain;
      return choice(plain, ...special.map((each) => literal(JSON.stringify(each).slice(1, -1))));
    }
    case 'sequence':
    case 'choice':
      return { ...expression, items: expression.items.map(escaped) };
    case 'repeat':
      return { ...expression, item: escaped(expression.item) };
    case 'graph': {
      const edges = expression.edges.map((edge) => ({
        ...edge,
        expression: edge.expression && escaped(edge.expression),
      }));
      return { ...expression, edges };
    }
    case 'rule':
      return expression;
  }
}

/** A string that is none of these; spelled without escapes, so that it cannot be one of them in disguise. */
export function keyOtherThan(names: readonly string[]): Expression {
  const edges: GraphEdge[] = [];
  const [end, free] = [0, 1];
  const children: Map<string, number>[] = [new Map(), new Map(), new Map()];
  const start = 2;
  const taken = new Set<number>();
  for (const name of names) {
    let node = start;
    for (const each of name) {
      const next = children[node].get(each) ?? children.push(new Map()) - 1;
      children[node].set(each, next);
      node = next;
    }
    taken.add(node);
  }
  edges.push({ from: free, to: free, expression: characters(PLAIN) }, { from: free, to: end });
  for (let node = start; node < children.length; node++) {
    const known = charactersOf([...children[node].keys()].join(''));
    edges.push({ from: node, to: free, expression: characters(difference(PLAIN, known)) });
    for (const [each, to] of children[node]) {
      const set = intersection(PLAIN, characterSet([[codePoint(each), codePoint(each)]]));
      if (set.length > 0) edges.push({ from: node, to, expression: characters(set) });
    }
    if (!taken.has(node)) edges.push({ from: node, to: end });
  }
  return quoted({ kind: 'graph', nodes: children.length, start, end, edges });
}

function wholeNumber(): Expression {
  return choice(literal('0'), sequence(characters(characterSet([[0x31, 0x39]])), digits(0, MOST_DIGITS - 1)));
}

function exponent(): Expression {
  return sequence(characters(charactersOf('eE')), optional(characters(charactersOf('+-'))), digits(1, 2));
}

/** Not of surrogates: only pairs of them are characters, and those can stand for themselves. */
function unicodeEscape(): Expression {
  const hex = characters(HEX);
  const low = characters(difference(HEX, charactersOf('dD')));
  const beforeSurrogates = sequence(characters(charactersOf('dD')), characters(characterSet([[0x30, 0x37]])));
  return sequence(literal('u'), choice(sequence(low, hex), beforeSurrogates), hex, hex);
}

function anyMember(): Expression {
  return member(rule('string'), ANY_VALUE);
}

/** What nothing matches. */
export const NOTHING: Expression = choice(...([] as Expression[]));
