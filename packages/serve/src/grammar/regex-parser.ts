import {
  ANY_CHARACTER,
  type CharacterRange,
  type CharacterSet,
  characterSet,
  charactersOf,
  codePoint,
  complement,
  difference,
} from './character-set.js';
import { characters, choice, type Expression, repeat, sequence } from './expression.js';
import { GrammarError } from './grammar-error.js';

/**
 * A regular expression in the syntax of JavaScript, without what needs more than one look: look-around, back references,
 * word boundaries; Unicode properties are left out too.
 * - `whole`: the text that matches from its first to its last character
 * - `search`: the text in which it is found, as JSON schema reads `pattern`
 * @throws GrammarError
 */
export function parseRegex(source: string, meaning: 'whole' | 'search'): Expression {
  const parser = new RegexParser(source);
  const alternatives = parser.parse();
  const anything = repeat(characters(ANY_CHARACTER), 0);
  return choice(
    ...alternatives.map(({ body, isFromStart, isToEnd }) =>
      meaning === 'whole'
        ? body
        : sequence(...(isFromStart ? [] : [anything]), body, ...(isToEnd ? [] : [anything])),
    ),
  );
}

interface Alternative {
  readonly body: Expression;
  readonly isFromStart: boolean;
  readonly isToEnd: boolean;
}

const DEEPEST = 100;
const MOST_REPEATS = 100_000;
const DIGIT = characterSet([[0x30, 0x39]]);
const WORD = characterSet([
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
]);
const SPACES = characterSet([
  ...charactersOf(' \t\n\v\f\r\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
  [0x2000, 0x200a],
]);
const LINE_ENDS = charactersOf('\n\r\u2028\u2029');
const CLASSES: Readonly<Record<string, CharacterSet>> = {
  ...{ d: DIGIT, w: WORD, s: SPACES },
  ...{ D: complement(DIGIT), W: complement(WORD), S: complement(SPACES) },
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };

class RegexParser {
  private readonly text: readonly string[];
  private at = 0;
  private depth = 0;

  constructor(private readonly source: string) {
    this.text = Array.from(source);
  }

  parse(): Alternative[] {
    const alternatives: Alternative[] = [];
    do {
      const isFromStart = this.take('^');
      const body = this.parseSequence();
      const isToEnd = this.take('$');
      alternatives.push({ body, isFromStart, isToEnd });
    } while (this.take('|'));
    if (this.at < this.text.length) throw this.wrong(`'${this.text[this.at]}' is out of place`);
    return alternatives;
  }

  private parseChoice(): Expression {
    if (++this.depth > DEEPEST) throw this.wrong('groups are nested too deeply');
    const items = [this.parseSequence()];
    while (this.take('|')) items.push(this.parseSequence());
    this.depth--;
    return choice(...items);
  }

  private parseSequence(): Expression {
    const items: Expression[] = [];
    while (this.at < this.text.length && !'|)'.includes(this.peek()) && !this.isEndAnchor())
      items.push(this.parseRepeat());
    return sequence(...items);
  }

  /** `$` before the end of an alternative of the whole expression. */
  private isEndAnchor(): boolean {
    return this.depth === 0 && this.peek() === '$' && ['|', undefined].includes(this.text[this.at + 1]);
  }

  private parseRepeat(): Expression {
    const item = this.parseAtom();
    const bounds = this.parseBounds();
    if (!bounds) return item;
    this.take('?'); // lazy: the same texts
    if (this.parseBounds()) throw this.wrong('a quantifier follows a quantifier');
    return repeat(item, ...bounds);
  }

  private parseBounds(): readonly [number, number] | null {
    if (this.take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.take('?')) return [0, 1];
    const match = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.text.slice(this.at, this.at + 24).join(''));
    if (!match) return null;
    this.at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] ? (match[3] ? Number(match[3]) : Number.POSITIVE_INFINITY) : min;
    if (max < min) throw this.wrong(`the bounds of ${match[0]} are in the wrong order`);
    if (min > MOST_REPEATS || (max > MOST_REPEATS && max !== Number.POSITIVE_INFINITY))
      throw this.wrong(`${match[0]} repeats more than ${MOST_REPEATS} times`);
    return [min, max];
  }

  private parseAtom(): Expression {
    const next = this.text[this.at++];
    switch (next) {
      case '(':
        return this.parseGroup();
      case '[':
        return characters(this.parseClass());
      case '.':
        return characters(complement(LINE_ENDS));
      case '\\':
        return characters(this.parseEscape(false));
      case '^':
      case '$':
        throw this.wrong(`the anchor '${next}' stands inside: it is supported at the ends only`);
      case '*':
      case '+':
      case '?':
        throw this.wrong(`nothing to repeat before '${next}'`);
      default:
        return characters(charactersOf(next));
    }
  }

  private parseGroup(): Expression {
    const start = this.text.slice(this.at, this.at + 3).join('');
    if (/^\?<?[=!]/.test(start)) throw this.wrong('look-around is not supported');
    if (start.startsWith('?:')) this.at += 2;
    else if (start.startsWith('?<')) {
      const end = this.text.indexOf('>', this.at);
      if (end < 0) throw this.wrong('the name of a group does not end');
      this.at = end + 1;
    } else if (start.startsWith('?'))
      throw this.wrong(`groups with '${start.slice(0, 2)}' are not supported`);
    const inner = this.parseChoice();
    if (!this.take(')')) throw this.wrong('a group does not end');
    return inner;
  }

  private parseClass(): CharacterSet {
    const isNegated = this.take('^');
    const ranges: CharacterRange[] = [];
    while (!this.take(']')) {
      const first = this.parseClassItem();
      const isRange = this.peek() === '-' && ![']', undefined].includes(this.text[this.at + 1]);
      if (!isRange) {
        ranges.push(...first);
        continue;
      }
      this.at++;
      const last = this.parseClassItem();
      const [from, to] = [first[0]?.[0], last[0]?.[1]];
      if (first.length !== 1 || last.length !== 1 || first[0][1] !== from || last[0][0] !== to || to < from)
        throw this.wrong('a range of characters is out of order');
      ranges.push([from, to]);
    }
    const set = characterSet(ranges);
    return isNegated ? difference(ANY_CHARACTER, set) : set;
  }

  private parseClassItem(): CharacterSet {
    if (this.at >= this.text.length) throw this.wrong('a class of characters does not end');
    const next = this.text[this.at++];
    return next === '\\' ? this.parseEscape(true) : charactersOf(next);
  }

  private parseEscape(isInClass: boolean): CharacterSet {
    if (this.at >= this.text.length) throw this.wrong('it ends with a backslash');
    const next = this.text[this.at++];
    if (Object.hasOwn(CLASSES, next)) return CLASSES[next];
    if (isInClass && next === 'b') return characterSet([[8, 8]]);
    if (Object.hasOwn(CONTROLS, next)) return characterSet([[CONTROLS[next], CONTROLS[next]]]);
    if (next === 'x') return this.parseHex(/^[0-9a-f]{2}/i, 2);
    if (next === 'u') return this.parseUnicode();
    if (/[1-9k]/.test(next)) throw this.wrong('back references are not supported');
    if (/[bB]/.test(next)) throw this.wrong('word boundaries are not supported');
    if (/[a-zA-Z]/.test(next)) throw this.wrong(`the escape \\${next} is not supported`);
    return charactersOf(next);
  }

  private parseUnicode(): CharacterSet {
    if (this.peek() !== '{') return this.parseHex(/^[0-9a-f]{4}/i, 4);
    const match = /^\{([0-9a-f]{1,6})\}/i.exec(this.text.slice(this.at, this.at + 8).join(''));
    const code = Number.parseInt(match?.[1] ?? '', 16);
    if (!match || code > 0x10ffff) throw this.wrong('an escape of a character is incomplete');
    this.at += match[0].length;
    return characterSet([[code, code]]);
  }

  private parseHex(pattern: RegExp, length: number): CharacterSet {
    const digits = this.text.slice(this.at, this.at + length).join('');
    if (!pattern.test(digits)) throw this.wrong('an escape of a character is incomplete');
    this.at += length;
    const code = codePoint(String.fromCharCode(Number.parseInt(digits, 16)));
    return characterSet([[code, code]]);
  }

  private peek(): string {
    return this.text[this.at] ?? '';
  }

  private take(character: string): boolean {
    if (this.peek() !== character || character === '') return false;
    this.at++;
    return true;
  }

  private wrong(what: string): GrammarError {
    return new GrammarError('regex', {
      what,
      got: `${short(this.source)} at character ${Math.min(this.at, this.text.length)}`,
    });
  }
}

function short(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}
