import { allOf } from '../character-automaton.js';
import { characterSet } from '../character-set.js';
import {
  characters,
  choice,
  EMPTY,
  type Expression,
  type GraphEdge,
  literal,
  optional,
  repeat,
  rule,
  sequence,
} from '../expression.js';
import { digits, MOST_DIGITS, NOTHING } from './json-text.js';

export interface NumberBounds {
  readonly low: number;
  readonly high: number;
  /** Whether the bound itself is left out. */
  readonly withoutLow: boolean;
  readonly withoutHigh: boolean;
}

const LARGEST = 10 ** MOST_DIGITS - 1;

/** Integers within bounds, in decimal digits. */
export function integers(bounds: NumberBounds): Expression {
  if (bounds.low === Number.NEGATIVE_INFINITY && bounds.high === Number.POSITIVE_INFINITY)
    return rule('integer');
  const low = bounds.withoutLow ? Math.floor(bounds.low) + 1 : Math.ceil(bounds.low);
  const high = bounds.withoutHigh ? Math.ceil(bounds.high) - 1 : Math.floor(bounds.high);
  const [least, most] = [Math.max(low, -LARGEST), Math.min(high, LARGEST)];
  const parts: Expression[] = [];
  if (least < 0 && least <= most) parts.push(sequence(literal('-'), wholes(Math.max(1, -most), -least)));
  if (most >= 0 && least <= most) parts.push(wholes(Math.max(0, least), most));
  return choice(...parts);
}

/** Of these, the multiples of a positive integer. */
export function multiples(bounds: NumberBounds, divisor: number): Expression {
  return allOf([plainIntegers(bounds), multiplesOf(divisor)]);
}

function plainIntegers(bounds: NumberBounds): Expression {
  const { low, high } = bounds;
  return integers({ ...bounds, low: Math.max(low, -LARGEST), high: Math.min(high, LARGEST) });
}

/** Decimal digits by the remainder of what they have said so far. */
function multiplesOf(divisor: number): Expression {
  const edges: GraphEdge[] = [];
  for (let remainder = 0; remainder < divisor; remainder++) {
    for (let digit = 0; digit <= 9; digit++) {
      const expression = literal(String(digit));
      edges.push({ from: remainder, to: (remainder * 10 + digit) % divisor, expression });
    }
  }
  // The end is a node of its own: `0` leads on.
  edges.push({ from: 0, to: divisor });
  const graph: Expression = { kind: 'graph', nodes: divisor + 1, start: 0, end: divisor, edges };
  return sequence(optional(literal('-')), graph);
}

/** Decimal numbers within bounds; with exponents only where there are none. */
export function numbers(bounds: NumberBounds): Expression {
  const { low, high, withoutLow, withoutHigh } = bounds;
  if (low === Number.NEGATIVE_INFINITY && high === Number.POSITIVE_INFINITY) return rule('number');
  const least = Math.max(low, -LARGEST);
  const most = Math.min(high, LARGEST);
  const parts: Expression[] = [];
  if (least <= 0) {
    const from = most >= 0 ? decimal(0, most === 0 && withoutHigh) : decimal(-most, withoutHigh);
    parts.push(sequence(literal('-'), between(from, decimal(-least, withoutLow))));
  }
  if (most >= 0) {
    const from = least >= 0 ? decimal(least, withoutLow) : decimal(0, false);
    parts.push(between(from, decimal(most, withoutHigh)));
  }
  return choice(...parts);
}

/** A bound of 0 or more. */
interface Decimal {
  readonly whole: number;
  /** Digits after the point, without zeros at the end. */
  readonly fraction: string;
  readonly isLeftOut: boolean;
}

function decimal(value: number, isLeftOut: boolean): Decimal {
  const whole = Math.floor(value);
  const [, digitsBehind = ''] = plainDecimal(value).split('.');
  return { whole, fraction: digitsBehind.replace(/0+$/, ''), isLeftOut };
}

/** The shortest decimal that is this double, without an exponent. */
function plainDecimal(value: number): string {
  const [mantissa, exponent = '0'] = String(value).split('e');
  const shift = Number(exponent);
  if (shift >= 0) return mantissa;
  const [whole, fraction = ''] = mantissa.split('.');
  return `0.${'0'.repeat(-shift - whole.length)}${whole}${fraction}`;
}

function between(low: Decimal, high: Decimal): Expression {
  if (low.whole > high.whole) return NOTHING;
  const whole = ({ whole: value }: Decimal) => literal(String(value));
  const [above, below] = [fractionAtLeast(low, roomOf(low)), fractionAtMost(high, roomOf(high))];
  if (low.whole === high.whole) return sequence(whole(low), allOf([above, below]));
  const inner = wholesByLength(low.whole + 1, high.whole - 1).map(({ length, expression }) => {
    const room = MOST_DIGITS - length;
    return room > 0 ? sequence(expression, optional(sequence(literal('.'), digits(1, room)))) : expression;
  });
  return choice(sequence(whole(low), above), sequence(whole(high), below), ...inner);
}

/** Digits behind the point: so few that rounding to a double never reaches a bound that is left out. */
function roomOf({ whole, fraction }: Decimal): number {
  return Math.max(MOST_DIGITS - String(whole).length, fraction.length + 1);
}

const zeros = (min: number, max: number) => repeat(literal('0'), min, max);
const digitFrom = (from: number, to: number) =>
  from > to ? NOTHING : characters(characterSet([[0x30 + from, 0x30 + to]]));

function fractionAtLeast({ fraction, isLeftOut }: Decimal, most: number): Expression {
  const positive = sequence(zeros(0, most - 1), digitFrom(1, 9), digits(0, most));
  const rest = (at: number): Expression => {
    if (at === fraction.length) return isLeftOut ? positive : digits(0, most);
    const digit = Number(fraction[at]);
    return choice(
      sequence(digitFrom(digit, digit), rest(at + 1)),
      sequence(digitFrom(digit + 1, 9), digits(0, most)),
    );
  };
  if (fraction !== '') return sequence(literal('.'), rest(0));
  return isLeftOut ? sequence(literal('.'), positive) : optional(sequence(literal('.'), digits(1, most)));
}

function fractionAtMost({ fraction, isLeftOut }: Decimal, most: number): Expression {
  const rest = (at: number): Expression => {
    const digit = Number(fraction[at]);
    const isLast = at === fraction.length - 1;
    const after = isLast ? (isLeftOut ? NOTHING : zeros(0, most)) : choice(EMPTY, rest(at + 1));
    return choice(
      sequence(digitFrom(0, digit - 1), digits(0, most)),
      sequence(digitFrom(digit, digit), after),
    );
  };
  if (fraction !== '') return optional(sequence(literal('.'), rest(0)));
  return isLeftOut ? NOTHING : optional(sequence(literal('.'), zeros(1, most)));
}

/** Integers from `least` to `most`, both 0 or more. */
function wholes(least: number, most: number): Expression {
  return choice(...wholesByLength(least, most).map(({ expression }) => expression));
}

function wholesByLength(least: number, most: number) {
  const parts: { readonly length: number; readonly expression: Expression }[] = [];
  if (least > most) return parts;
  for (let length = String(least).length; length <= String(most).length; length++) {
    const from = Math.max(least, length === 1 ? 0 : 10 ** (length - 1));
    const to = Math.min(most, 10 ** length - 1);
    parts.push({ length, expression: sameLength(String(from), String(to)) });
  }
  return parts;
}

function sameLength(low: string, high: string): Expression {
  if (/^0*$/.test(low) && /^9*$/.test(high)) return digits(low.length, low.length);
  const [first, last] = [Number(low[0]), Number(high[0])];
  const tail = low.length - 1;
  if (first === last) return sequence(digitFrom(first, first), sameLength(low.slice(1), high.slice(1)));
  return choice(
    sequence(digitFrom(first, first), sameLength(low.slice(1), '9'.repeat(tail))),
    ...(first + 1 < last ? [sequence(digitFrom(first + 1, last - 1), digits(tail, tail))] : []),
    sequence(digitFrom(last, last), sameLength('0'.repeat(tail), high.slice(1))),
  );
}
