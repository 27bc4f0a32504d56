import { type Logprobs, TextStream } from '@frugal/tensor-core/generation';
import type { Tokenizer } from '@frugal/tokenizers';
import type { TokenLogprobs } from './contract.js';

/** Text and log probabilities of one answer. */
export class TextOutput {
  private readonly stream: TextStream;

  constructor(
    private readonly tokenizer: Tokenizer,
    stop: readonly string[],
    { skipSpecialTokens = true } = {},
  ) {
    this.stream = new TextStream(tokenizer.streamingDecoder({ skipSpecialTokens }), stop);
  }

  push(token: number): { readonly text: string; readonly stopped: boolean } {
    return this.stream.push(token);
  }

  /** What was held back, unless the text was stopped. Call it once, after the last token. */
  flush(): string {
    return this.stream.flush();
  }

  describe({ id, logprob, top }: Logprobs): TokenLogprobs {
    const entry = (token: { readonly id: number; readonly logprob: number }) => ({
      ...token,
      bytes: this.tokenizer.tokenBytes(token.id),
    });
    return { ...entry({ id, logprob }), top: top.map(entry) };
  }
}
