import { splitOutsideStrings } from './blank-strings.js';
import { callsOf, type Piece, type ToolCallParser } from './tool-call.js';

const tag = '<|python_tag|>';
/** Tokens that end a message: no part of its text. */
const endOfMessage = /<\|(eom_id|eot_id)\|>\s*$/;

/** Either a text, or calls alone (Llama 3 and forced calls): objects one after another, with `;` between them, after a tag or without one. */
export class BareParser implements ToolCallParser {
  private held = '';
  private isText = false;

  constructor(
    private readonly names: ReadonlySet<string>,
    private readonly argumentsKey: 'arguments' | 'parameters',
  ) {}

  push(text: string): readonly Piece[] {
    if (this.isText) return text === '' ? [] : [{ text }];
    this.held += text;
    const start = this.held.trimStart();
    // While it may become a call, nothing is certain: it is JSON to its end, or text from its beginning.
    if (start === '' || start.startsWith('{') || start.startsWith('[') || start.startsWith(tag)) return [];
    if (tag.startsWith(start)) return [];
    this.isText = true;
    return [{ text: this.held }];
  }

  end(): readonly Piece[] {
    if (this.isText || this.held === '') return [];
    const start = this.held.trimStart();
    const bare = start
      .slice(start.startsWith(tag) ? tag.length : 0)
      .replace(endOfMessage, '')
      .trim();
    const whole = callsOf(bare, this.names, this.argumentsKey);
    const calls = whole ?? this.each(bare);
    return calls ? calls.map((call) => ({ call })) : [{ text: this.held }];
  }

  private each(text: string) {
    const parts = splitOutsideStrings(text, /(?<=\})\s*[;\n]\s*(?=\{)/g).map((part) =>
      callsOf(part, this.names, this.argumentsKey),
    );
    return parts.every((part) => part !== null) ? parts.flat() : null;
  }
}
