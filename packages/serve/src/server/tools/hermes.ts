import { blankStrings } from './blank-strings.js';
import { heldBack } from './hold-back.js';
import { callsOf, type Piece, type ToolCallParser } from './tool-call.js';

const opening = '<tool_call>';
const closing = '</tool_call>';

/** Texts with calls between them, each in its own tags. */
export class HermesParser implements ToolCallParser {
  private rest = '';
  private inCall = false;
  private called = false;

  constructor(private readonly names: ReadonlySet<string>) {}

  push(text: string): readonly Piece[] {
    this.rest += text;
    const pieces: Piece[] = [];
    while (this.take(pieces));
    return pieces;
  }

  end(): readonly Piece[] {
    const { rest } = this;
    this.rest = '';
    // Some models leave the last closing tag out.
    if (this.inCall) return this.pieces(rest, '');
    return this.text(rest);
  }

  /** Takes what is certain from the front. Returns whether there may be more. */
  private take(pieces: Piece[]): boolean {
    const mark = this.inCall ? closing : opening;
    const found = this.rest.indexOf(mark);
    const at = this.inCall && found >= 0 ? blankStrings(this.rest).indexOf(mark) : found;
    if (at < 0) {
      if (this.inCall) return false;
      const certain = this.rest.length - heldBack(this.rest, opening);
      pieces.push(...this.text(this.rest.slice(0, certain)));
      this.rest = this.rest.slice(certain);
      return false;
    }
    const before = this.rest.slice(0, at);
    pieces.push(...(this.inCall ? this.pieces(before, closing) : this.text(before)));
    this.rest = this.rest.slice(at + mark.length);
    this.inCall = !this.inCall;
    return true;
  }

  private pieces(json: string, tag: string): readonly Piece[] {
    const calls = callsOf(json, this.names, 'arguments');
    if (!calls) return [{ text: opening + json + tag }];
    this.called = true;
    return calls.map((call) => ({ call }));
  }

  /** White space between and after calls is no answer. */
  private text(text: string): readonly Piece[] {
    return text === '' || (this.called && text.trim() === '') ? [] : [{ text }];
  }
}
