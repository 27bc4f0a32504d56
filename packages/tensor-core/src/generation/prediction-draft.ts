import { ArgumentError, concat, keep, noGrad, scope, type Tensor } from '../index.js';
import { type CausalLM, type StepBatch, stepBatch } from '../nn/index.js';
import type { Draft, DraftSequence, DraftText } from './draft.js';
import { modelCache } from './model-cache.js';
import type { PagedKVCache } from './paged-cache.js';
import { sampleTokens } from './sampling.js';

/** Prompt tokens that the prediction block reads in one step. */
const CHUNK = 512;

/**
 * Guesses with the model's own head for multi-token prediction (DeepSeek-V3, arXiv:2412.19437, §5.4.3): from the hidden
 * state of a token and the token after it to the one after that. Further guesses take the block's own output for the
 * hidden state.
 * @throws ArgumentError when the model has no such head
 */
export function predictionDraft(model: CausalLM): Draft {
  if (model.extraBlocks.length === 0) {
    throw new ArgumentError({
      where: 'predictionDraft',
      what: 'the model has no blocks for multi-token prediction',
      hint: 'Use promptLookup or draftModel.',
    });
  }
  return {
    collect: new Set([lastHidden(model)]),
    open: (text) => new PredictionGuesses(model, text),
    dispose: () => {},
  };
}

const lastHidden = ({ blocks }: CausalLM): string => `blocks.${blocks.length - 1}.hidden`;

/** Hidden states of the model for the tokens from `start` on: [n, C], before the final norm. */
interface Segment {
  readonly start: number;
  readonly hidden: Tensor;
}

class PredictionGuesses implements DraftSequence {
  private readonly cache: PagedKVCache;
  private readonly sequence: number;
  /** What the block has not read yet; guesses that proved wrong are written over by what comes after. */
  private segments: Segment[] = [];
  /** Rows in the cache that stand for tokens of the text. */
  private computed = 0;

  constructor(
    private readonly model: CausalLM,
    private readonly text: DraftText,
  ) {
    const layer = model.blocks.length;
    this.cache = modelCache(model, {
      tokens: text.longest,
      // The block knows its place among all layers; only it needs memory here.
      spec: model.cacheSpec.map((spec, i) => (i === layer ? spec : { ...spec, parts: [] })),
    });
    this.sequence = this.cache.open();
  }

  observe(collected: ReadonlyMap<string, Tensor>, start: number): void {
    const rows = collected.get(lastHidden(this.model)) as Tensor;
    this.segments = this.segments.flatMap((segment) => this.before(segment, start));
    this.segments.push({ start, hidden: noGrad(() => keep(rows.slice(0, 0, rows.shape[0]))) });
  }

  async propose(tokens: readonly number[], count: number): Promise<number[]> {
    if (tokens.length < 2) return []; // nothing was computed yet
    this.cache.truncate(this.sequence, this.computed);
    let hidden = this.readText(tokens);
    const guess: number[] = [];
    try {
      for (;;) {
        const logits = scope(() => noGrad(() => keep(this.model.head.forward(hidden).cast('f32'))));
        const index = tokens.length + guess.length - this.text.prompt.length;
        const request = { options: this.text.sampling, index };
        const [token] = await sampleTokens(logits, [request]).finally(() => logits.dispose());
        guess.push(token);
        if (guess.length >= count || tokens.length + guess.length >= this.text.longest) return guess;
        const next = this.predict(hidden, [token], tokens.length + guess.length - 1);
        hidden.dispose();
        hidden = next;
      }
    } finally {
      hidden.dispose();
    }
  }

  close(): void {
    for (const { hidden } of this.segments) hidden.dispose();
    this.cache.dispose();
  }

  /** Reads all known tokens; returns what the block says after the last one: [1, C]. */
  private readText(tokens: readonly number[]): Tensor {
    const end = tokens.length - 1; // hidden states are known up to the token before the last
    let last: Tensor | null = null;
    while (this.computed < end) {
      const to = Math.min(end, this.computed + CHUNK);
      const from = this.computed;
      const rows = scope(() => noGrad(() => keep(this.finished(this.take(from, to)))));
      last?.dispose();
      last = this.predict(rows, tokens.slice(from + 1, to + 1), from + 1);
      rows.dispose();
      this.computed = to;
    }
    for (const { hidden } of this.segments) hidden.dispose();
    this.segments = [];
    return last as Tensor;
  }

  /** One pass of the block: hidden states [n, C] and the tokens after them → what it says after the last: [1, C]. */
  private predict(hidden: Tensor, tokens: readonly number[], position: number): Tensor {
    return scope(() =>
      noGrad(() => {
        const cache = this.cache.extend([this.sequence], [tokens.length]);
        const batch = this.batch(tokens, { cache, startPositions: [position], logits: 'last' });
        const { context } = this.model.begin(batch);
        const output = this.model.extraBlocks[0].forward(hidden, context);
        return keep(output.slice(0, tokens.length - 1, tokens.length));
      }),
    );
  }

  /** Through the final norm of the model, as `Output.hidden` is. */
  private finished(hidden: Tensor): Tensor {
    const batch = this.batch(new Array<number>(hidden.shape[0]).fill(0), { logits: 'all' });
    return this.model.finish(hidden, this.model.begin(batch).context).hidden;
  }

  private batch(tokens: readonly number[], options: Partial<Parameters<typeof stepBatch>[1]>): StepBatch {
    const backend = this.model.parameters()[0]?.value.backend;
    return stepBatch([tokens], { vocabularySize: this.model.vocabularySize, backend, ...options });
  }

  private take(from: number, to: number): Tensor {
    const parts = this.segments.flatMap(({ start, hidden }) => {
      const [first, last] = [Math.max(from, start), Math.min(to, start + hidden.shape[0])];
      return first < last ? [hidden.slice(0, first - start, last - start)] : [];
    });
    return parts.length === 1 ? parts[0] : concat(parts, 0);
  }

  /** What of a segment is older than `start`. */
  private before({ start, hidden }: Segment, end: number): Segment[] {
    const rows = Math.min(hidden.shape[0], end - start);
    if (rows === hidden.shape[0]) return [{ start, hidden }];
    const kept = rows > 0 ? [{ start, hidden: noGrad(() => keep(hidden.slice(0, 0, rows))) }] : [];
    hidden.dispose();
    return kept;
  }
}
