import type { StreamingDecoder, Tokenizer } from '@frugal/tokenizers';
import type { TokenLogprobs } from './contract.js';
import type { Logprobs } from './logprobs.js';
import { StopStrings } from './stop-strings.js';

/** Tokens of one answer → the text that is certain: whole characters, and nothing that could begin a stop string. */
export class TextOutput {
  private readonly decoder: StreamingDecoder;
  private readonly stops: StopStrings;

  constructor(
    private readonly tokenizer: Tokenizer,
    stop: readonly string[],
  ) {
    this.decoder = tokenizer.streamingDecoder({ skipSpecialTokens: true });
    this.stops = new StopStrings(stop);
  }

  push(token: number): { text: string; stopped: boolean } {
    return this.stops.push(this.decoder.push(token));
  }

  /** What was held back. Call it once, after the last token. */
  flush(): string {
    const { text, stopped } = this.stops.push(this.decoder.flush());
    return stopped ? text : text + this.stops.flush();
  }

  describe({ id, logprob, top }: Logprobs): TokenLogprobs {
    const entry = (token: { readonly id: number; readonly logprob: number }) => ({
      ...token,
      bytes: this.tokenizer.tokenBytes(token.id),
    });
    return { ...entry({ id, logprob }), top: top.map(entry) };
  }
}
