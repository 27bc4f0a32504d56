import {
  ANY_CHARACTER,
  type CharacterRange,
  type CharacterSet,
  characterSet,
  codePoint,
  complement,
} from './character-set.js';
import {
  characters,
  choice,
  type Expression,
  type Grammar,
  literal,
  repeat,
  rule,
  sequence,
} from './expression.js';
import { GrammarError } from './grammar-error.js';

const DEEPEST = 100;
const MOST_REPEATS = 100_000;
const NAME = /^[A-Za-z0-9_-]+/;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/**
 * A grammar in llama.cpp's GBNF: `name ::= alternatives`, "texts", [classes], (groups), `.`, `* + ? {m,n}`, `# comments`.
 * The text begins with the rule `root`. A rule ends where its line ends, outside of parentheses and not after `|`.
 * @throws GrammarError with the line
 */
export function parseGbnf(source: string): Grammar {
  return new GbnfParser(source).parse();
}

class GbnfParser {
  private at = 0;
  private depth = 0;
  private readonly rules = new Map<string, Expression>();
  private readonly used = new Set<string>();

  constructor(private readonly source: string) {}

  parse(): Grammar {
    for (this.skipSpace(true); this.at < this.source.length; this.skipSpace(true)) {
      const name = this.parseName();
      if (this.rules.has(name)) throw this.wrong(`the rule ${name} stands twice`);
      this.skipSpace(false);
      if (!this.takeText('::=')) throw this.wrong(`'::=' is missing after ${name}`);
      this.skipSpace(true);
      this.rules.set(name, this.parseChoice());
      if (this.at < this.source.length && !'\r\n'.includes(this.source[this.at]))
        throw this.wrong(`'${this.source[this.at]}' is out of place`);
    }
    this.used.add('root');
    for (const name of this.used) if (!this.rules.has(name)) throw this.wrong(`there is no rule ${name}`);
    return { start: 'root', rules: this.rules };
  }

  private parseChoice(): Expression {
    const items = [this.parseSequence()];
    while (this.takeText('|')) {
      this.skipSpace(true);
      items.push(this.parseSequence());
    }
    return choice(...items);
  }

  private parseSequence(): Expression {
    const items: Expression[] = [];
    for (;;) {
      this.skipSpace(this.depth > 0);
      const next = this.source[this.at];
      if (next === undefined || '|)\r\n'.includes(next)) return sequence(...items);
      items.push(this.parseRepeats(this.parseAtom(next)));
    }
  }

  private parseRepeats(item: Expression): Expression {
    let repeated = item;
    for (;;) {
      const match = /^(?:\*|\+|\?|\{(\d+)(?:(,)(\d*))?\})/.exec(this.source.slice(this.at, this.at + 24));
      if (!match) return repeated;
      this.at += match[0].length;
      const unlimited = Number.POSITIVE_INFINITY;
      const given = Number(match[1]);
      const max = match[2] ? (match[3] ? Number(match[3]) : unlimited) : given;
      if (
        match[0][0] === '{' &&
        (max < given || given > MOST_REPEATS || (max > MOST_REPEATS && max < unlimited))
      )
        throw this.wrong(`the bounds of ${match[0]} are out of range`);
      if (match[0] === '*') repeated = repeat(repeated, 0);
      else if (match[0] === '+') repeated = repeat(repeated, 1);
      else if (match[0] === '?') repeated = repeat(repeated, 0, 1);
      else repeated = repeat(repeated, given, max);
    }
  }

  private parseAtom(next: string): Expression {
    if (next === '"') return this.parseText();
    if (next === '[') return characters(this.parseClass());
    if (this.takeText('.')) return characters(ANY_CHARACTER);
    if (this.takeText('(')) {
      if (++this.depth > DEEPEST) throw this.wrong('groups are nested too deeply');
      const inner = this.parseChoice();
      this.depth--;
      if (!this.takeText(')')) throw this.wrong('a group does not end');
      return inner;
    }
    const name = this.parseName();
    this.used.add(name);
    return rule(name);
  }

  private parseText(): Expression {
    this.at++;
    let text = '';
    while (!this.takeText('"')) text += this.parseCharacter();
    return literal(text);
  }

  private parseClass(): CharacterSet {
    this.at++;
    const isNegated = this.takeText('^');
    const ranges: CharacterRange[] = [];
    while (!this.takeText(']')) {
      const from = codePoint(this.parseCharacter());
      const isRange = this.source[this.at] === '-' && this.source[this.at + 1] !== ']';
      if (isRange) this.at++;
      const to = isRange ? codePoint(this.parseCharacter()) : from;
      if (to < from) throw this.wrong('a range of characters is out of order');
      ranges.push([from, to]);
    }
    const set = characterSet(ranges);
    return isNegated ? complement(set) : set;
  }

  private parseCharacter(): string {
    const code = this.source.codePointAt(this.at);
    if (code === undefined || code === 10) throw this.wrong('a text or class does not end');
    const character = String.fromCodePoint(code);
    this.at += character.length;
    if (character !== '\\') return character;
    const match = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|[nrt"\\[\]^-])/i.exec(
      this.source.slice(this.at, this.at + 9),
    );
    if (!match) throw this.wrong(`the escape \\${this.source[this.at] ?? ''} is not known`);
    this.at += match[0].length;
    const digits = match[1] ?? match[2] ?? match[3];
    if (digits === undefined) return ESCAPES[match[0]] ?? match[0];
    const escaped = Number.parseInt(digits, 16);
    if (escaped > 0x10ffff) throw this.wrong('there is no such character');
    return String.fromCodePoint(escaped);
  }

  private parseName(): string {
    const name = NAME.exec(this.source.slice(this.at, this.at + 256))?.[0];
    if (!name) throw this.wrong(`'${this.source[this.at]}' is out of place`);
    this.at += name.length;
    return name;
  }

  private skipSpace(overLines: boolean): void {
    const space = overLines ? /(?:[ \t\r\n]|#[^\n]*)*/y : /(?:[ \t]|#[^\n]*)*/y;
    space.lastIndex = this.at;
    this.at += space.exec(this.source)?.[0].length ?? 0;
  }

  private takeText(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  private wrong(what: string): GrammarError {
    return new GrammarError('grammar', {
      what,
      got: `line ${this.source.slice(0, this.at).split('\n').length}`,
    });
  }
}
