import { StopStrings } from './stop-strings.js';

/** Text of tokens as far as it is settled; what tokenizers call a streaming decoder. */
export interface TokenDecoder {
  push(id: number): string;
  flush(): string;
}

/** Tokens of one text → the text that is certain: whole characters, and nothing that could begin a stop string. */
export class TextStream {
  private readonly stops: StopStrings;
  private isStopped = false;

  constructor(
    private readonly decoder: TokenDecoder,
    stop: readonly string[] = [],
  ) {
    this.stops = new StopStrings(stop);
  }

  /** The text that became certain; `stopped` once a stop string was found: the text ends before it. */
  push(token: number): { readonly text: string; readonly stopped: boolean } {
    const result = this.stops.push(this.decoder.push(token));
    this.isStopped = result.stopped;
    return result;
  }

  /** What was held back; of a text that was stopped nothing, also where its last token began another character. Call it once. */
  flush(): string {
    if (this.isStopped) return '';
    const { text, stopped } = this.stops.push(this.decoder.flush());
    return stopped ? text : text + this.stops.flush();
  }
}
