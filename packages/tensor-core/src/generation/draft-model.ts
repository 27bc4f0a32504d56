import { noGrad, type Tensor } from '../index.js';
import type { CausalLM } from '../nn/index.js';
import type { Draft, DraftSequence, DraftText } from './draft.js';
import { modelCache } from './model-cache.js';
import { ModelSteps } from './model-step.js';
import type { PagedKVCache } from './paged-cache.js';
import { sampleTokens } from './sampling.js';

/** Prompt tokens that the draft reads in one step. */
const CHUNK = 512;

/** Guesses what a smaller model with the same tokenizer says. The model stays the caller's. */
export function draftModel(model: CausalLM): Draft {
  return {
    open: (text) => new ModelGuesses(model, text),
    dispose: () => {},
  };
}

class ModelGuesses implements DraftSequence {
  private readonly cache: PagedKVCache;
  private readonly sequence: number;
  private readonly steps: ModelSteps;
  /** The tokens whose keys and values are in the cache. */
  private computed: number[] = [];

  constructor(
    private readonly model: CausalLM,
    private readonly text: DraftText,
  ) {
    this.cache = modelCache(model, { tokens: Math.min(text.longest, model.contextLength) });
    this.sequence = this.cache.open();
    this.steps = new ModelSteps(model, this.cache);
  }

  async propose(tokens: readonly number[], count: number): Promise<number[]> {
    const known = tokens.slice();
    const guess: number[] = [];
    const room = this.model.contextLength - tokens.length;
    // One family often pads its vocabulary to different sizes: ids that only one of the models has are never guessed.
    const shared = Math.min(this.model.vocabularySize, this.text.vocabularySize);
    if (tokens.some((id) => id >= shared)) return guess;
    this.forget(tokens);
    while (guess.length < Math.min(count, room)) {
      const logits = this.compute(known);
      // The draw that the model itself will choose this token with: where both agree on the odds they choose alike.
      const index = known.length - this.text.prompt.length;
      const [token] = await this.choose(logits, shared, index).finally(() => logits.dispose());
      guess.push(token);
      known.push(token);
    }
    return guess;
  }

  close(): void {
    this.steps.dispose();
    this.cache.dispose();
  }

  /** Drops guesses that proved wrong; the last token is always computed again, as its logits are needed. */
  private forget(tokens: readonly number[]): void {
    let same = 0;
    while (same < Math.min(this.computed.length, tokens.length - 1) && this.computed[same] === tokens[same])
      same++;
    this.computed.length = same;
    this.cache.truncate(this.sequence, same);
  }

  private async choose(logits: Tensor, shared: number, index: number): Promise<readonly number[]> {
    const request = { options: this.text.sampling, index };
    if (shared === logits.shape[1]) return sampleTokens(logits, [request]);
    const known = noGrad(() => logits.slice(1, 0, shared));
    return sampleTokens(known, [request]).finally(() => known.dispose());
  }

  /** Logits after the last token: [1, V]. */
  private compute(tokens: readonly number[]): Tensor {
    for (;;) {
      const next = tokens.slice(this.computed.length, this.computed.length + CHUNK);
      const isLast = this.computed.length + next.length === tokens.length;
      const part = { sequence: this.sequence, tokens: next, logits: isLast ? 1 : 0 };
      const { logits } = this.steps.run([part]);
      this.computed.push(...next);
      if (logits) return logits;
    }
  }
}
