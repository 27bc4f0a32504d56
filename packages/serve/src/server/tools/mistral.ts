import { splitOutsideStrings } from './blank-strings.js';
import { heldBack } from './hold-back.js';
import { callsOf, type Piece, type ToolCallParser } from './tool-call.js';

const opening = '[TOOL_CALLS]';
/** The newer form: a name and its arguments, with or without an id between them. */
const named = /^\s*([\w.-]+)\s*(?:\[CALL_ID\][^[]*)?(?:\[ARGS\])?\s*(\{.*\})\s*$/s;

/** A text, then calls to the end: one list after one mark, or a mark, a name and its arguments each. */
export class MistralParser implements ToolCallParser {
  private rest = '';
  private inCalls = false;

  constructor(private readonly names: ReadonlySet<string>) {}

  push(text: string): readonly Piece[] {
    this.rest += text;
    if (this.inCalls) return [];
    const at = this.rest.indexOf(opening);
    this.inCalls = at >= 0;
    const certain = this.inCalls ? at : this.rest.length - heldBack(this.rest, opening);
    const piece = this.rest.slice(0, certain);
    this.rest = this.rest.slice(certain);
    return piece === '' ? [] : [{ text: piece }];
  }

  end(): readonly Piece[] {
    const { rest } = this;
    if (rest === '') return [];
    if (!this.inCalls) return [{ text: rest }];
    const calls = splitOutsideStrings(rest, /\[TOOL_CALLS\]/g)
      .slice(1)
      .map((part) => this.callsIn(part));
    return calls.every((each) => each !== null) ? calls.flat().map((call) => ({ call })) : [{ text: rest }];
  }

  private callsIn(part: string) {
    const [, name, given] = named.exec(part) ?? [];
    const json = name === undefined ? part : `{"name": ${JSON.stringify(name)}, "arguments": ${given}}`;
    return callsOf(json, this.names, 'arguments');
  }
}
