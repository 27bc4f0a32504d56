import type { AddedToken } from '../definition.js';
import { isWhiteSpace, WORD_CHARACTERS } from './characters.js';

interface Node {
  readonly next: Map<number, Node>;
  token: AddedToken | undefined;
}

/** A stretch of text: an added token, or text between them. */
export type Piece = string | AddedToken;

const WORD_BEFORE = new RegExp(`[${WORD_CHARACTERS}]$`, 'u');
const WORD_AFTER = new RegExp(`^[${WORD_CHARACTERS}]`, 'u');

/** Finds added tokens in text: leftmost first, the longest of those that begin there. */
export class AddedTokenSplitter {
  private readonly root: Node = { next: new Map(), token: undefined };
  /** 1 for code units with which a token begins: most of a text is skipped by it. */
  private readonly begins = new Uint8Array(0x10000);
  readonly isEmpty: boolean;

  /** `contentOf` is what is searched for: the token's content, or its normalized form. */
  constructor(tokens: readonly AddedToken[], contentOf: (token: AddedToken) => string = (t) => t.content) {
    for (const token of tokens) this.insert(contentOf(token), token);
    this.isEmpty = this.root.next.size === 0;
  }

  private insert(content: string, token: AddedToken): void {
    if (content === '') return;
    this.begins[content.charCodeAt(0)] = 1;
    let node = this.root;
    for (let i = 0; i < content.length; i++) {
      const code = content.charCodeAt(i);
      let next = node.next.get(code);
      if (!next) {
        next = { next: new Map(), token: undefined };
        node.next.set(code, next);
      }
      node = next;
    }
    node.token ??= token;
  }

  /** Cuts `text` at the tokens that `accept` admits. */
  split(text: string, accept: (token: AddedToken) => boolean = () => true): Piece[] {
    if (this.isEmpty) return text === '' ? [] : [text];
    const pieces: Piece[] = [];
    let done = 0;
    let at = 0;
    while (at < text.length) {
      if (this.begins[text.charCodeAt(at)] === 0) {
        at++;
        continue;
      }
      const match = this.longestAt(text, at, accept);
      if (!match) {
        at++;
        continue;
      }
      const { token } = match;
      let { start, end } = match;
      at = end;
      if (token.singleWord && touchesWord(text, start, end)) continue;
      while (token.stripLeft && start > done && isWhiteSpace(text.charCodeAt(start - 1))) start--;
      while (token.stripRight && end < text.length && isWhiteSpace(text.charCodeAt(end))) end++;
      if (start > done) pieces.push(text.slice(done, start));
      pieces.push(token);
      done = end;
      at = end;
    }
    if (done < text.length) pieces.push(text.slice(done));
    return pieces;
  }

  private longestAt(
    text: string,
    start: number,
    accept: (token: AddedToken) => boolean,
  ): { token: AddedToken; start: number; end: number } | undefined {
    let node: Node | undefined = this.root;
    let found: { token: AddedToken; start: number; end: number } | undefined;
    for (let i = start; i < text.length; i++) {
      node = node.next.get(text.charCodeAt(i));
      if (!node) break;
      if (node.token && accept(node.token)) found = { token: node.token, start, end: i + 1 };
    }
    return found;
  }
}

/** Whether a letter, digit, mark or connector stands right before `start` or at `end`. */
const touchesWord = (text: string, start: number, end: number): boolean =>
  WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) || WORD_AFTER.test(text.slice(end, end + 2));
