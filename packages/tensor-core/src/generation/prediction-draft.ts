import { ArgumentError, concat, keep, noGrad, scope, type Tensor } from '../index.js';
import { batchInputs, type CausalLM, type StepBatch, stepBatch } from '../nn/index.js';
import type { Draft, DraftSequence, DraftText } from './draft.js';
import { modelCache } from './model-cache.js';
import type { PagedKVCache } from './paged-cache.js';
import { type Computed, Replays } from './replays.js';
import { sampleTokens } from './sampling.js';
import { MOST_RECORDED_ROWS } from './step-recorder.js';

/** Prompt tokens that the prediction block reads in one step. */
const CHUNK = 512;

export interface PredictionDraftOptions {
  /**
   * How sure the block must be of a guess, as a probability, 0 to 1: a guess below it, and all after it, are left out. 0: all are
   * made. Default 0.4.
   */
  readonly confidence?: number;
}

/**
 * Guesses with the model's own head for multi-token prediction (DeepSeek-V3, arXiv:2412.19437, §5.4.3): from the hidden
 * state of a token and the token after it to the one after that. Further guesses take the block's own output for the
 * hidden state. It stops where the block is not sure (as transformers' `assistant_confidence_threshold`; Mamou et al. 2024,
 * arXiv:2405.04304): a guess that proves wrong cost a pass of the block and a row of the model's step, and so do those after it.
 * @throws ArgumentError when the model has no such head, and when `confidence` is no probability
 */
export function predictionDraft(model: CausalLM, { confidence = 0.4 }: PredictionDraftOptions = {}): Draft {
  if (!(confidence >= 0 && confidence <= 1)) {
    throw new ArgumentError({
      where: 'predictionDraft',
      what: 'confidence out of range',
      got: String(confidence),
      expected: '0 to 1',
    });
  }
  if (model.extraBlocks.length === 0) {
    throw new ArgumentError({
      where: 'predictionDraft',
      what: 'the model has no blocks for multi-token prediction',
      hint: 'Use promptLookup or draftModel.',
    });
  }
  return {
    collect: new Set([lastHidden(model)]),
    open: (text) => new PredictionGuesses(model, text, confidence),
    dispose: () => {},
  };
}

const lastHidden = ({ blocks }: CausalLM): string => `blocks.${blocks.length - 1}.hidden`;

/** Hidden states of the model for the tokens from `start` on: [n, C], before the final norm. */
interface Segment {
  readonly start: number;
  readonly hidden: Tensor;
}

/** What the block says after a token. */
interface Prediction {
  /** Its own output, [1, C]. */
  readonly hidden: Tensor;
  /** Of the token after the next, f32 [1, V]. */
  readonly logits: Tensor;
  /** Probability of the most likely token, f32 [1]. */
  readonly sureness: Tensor;
}

class PredictionGuesses implements DraftSequence {
  private readonly cache: PagedKVCache;
  private readonly sequence: number;
  private readonly replays: Replays<null>;
  /** What the block has not read yet; guesses that proved wrong are written over by what comes after. */
  private segments: Segment[] = [];
  /** Rows in the cache that stand for tokens of the text. */
  private computed = 0;

  constructor(
    private readonly model: CausalLM,
    private readonly text: DraftText,
    private readonly confidence: number,
  ) {
    const layer = model.blocks.length;
    this.cache = modelCache(model, {
      tokens: text.longest,
      // The block knows its place among all layers; only it needs memory here.
      spec: model.cacheSpec.map((spec, i) => (i === layer ? spec : { ...spec, parts: [] })),
    });
    this.sequence = this.cache.open();
    this.replays = new Replays(model);
  }

  observe(collected: ReadonlyMap<string, Tensor>, start: number): void {
    const rows = collected.get(lastHidden(this.model)) as Tensor;
    this.segments = this.segments.flatMap((segment) => this.before(segment, start));
    this.segments.push({ start, hidden: noGrad(() => keep(rows.slice(0, 0, rows.shape[0]))) });
  }

  async propose(tokens: readonly number[], count: number): Promise<number[]> {
    if (tokens.length < 2) return []; // nothing was computed yet
    this.cache.truncate(this.sequence, this.computed);
    let prediction = this.readText(tokens);
    const guess: number[] = [];
    try {
      while ((await prediction.sureness.toFloat32())[0] >= this.confidence) {
        const index = tokens.length + guess.length - this.text.prompt.length;
        const request = { options: this.text.sampling, index };
        const [token] = await sampleTokens(prediction.logits, [request]);
        guess.push(token);
        if (guess.length >= count || tokens.length + guess.length >= this.text.longest) return guess;
        const next = this.predict('own', prediction.hidden, [token], tokens.length + guess.length - 1);
        free(prediction);
        prediction = next;
      }
      return guess;
    } finally {
      free(prediction);
    }
  }

  close(): void {
    for (const { hidden } of this.segments) hidden.dispose();
    this.replays.dispose();
    this.cache.dispose();
  }

  /** Reads all known tokens; returns what the block says after the last one. */
  private readText(tokens: readonly number[]): Prediction {
    const end = tokens.length - 1; // hidden states are known up to the token before the last
    let last: Prediction | null = null;
    while (this.computed < end) {
      const to = Math.min(end, this.computed + CHUNK);
      const from = this.computed;
      const rows = noGrad(() => scope(() => keep(this.take(from, to))));
      if (last) free(last);
      last = this.predict('text', rows, tokens.slice(from + 1, to + 1), from + 1);
      rows.dispose();
      this.computed = to;
    }
    for (const { hidden } of this.segments) hidden.dispose();
    this.segments = [];
    return last as Prediction;
  }

  /**
   * One pass of the block over hidden states [n, C] and the tokens after them: what it says after the last. Those of the text
   * go through the final norm of the model first, as `Output.hidden` does.
   */
  private predict(
    from: 'text' | 'own',
    hidden: Tensor,
    tokens: readonly number[],
    position: number,
  ): Prediction {
    return scope(() =>
      noGrad(() => {
        const cache = this.cache.extend([this.sequence], [tokens.length]);
        const backend = this.model.parameters()[0]?.value.backend;
        const { vocabularySize } = this.model;
        const options = {
          vocabularySize,
          backend,
          cache,
          startPositions: [position],
          logits: 'last',
        } as const;
        const batch = stepBatch([tokens], options);
        const compute = () => this.compute(from, hidden, batch);
        const { outputs } =
          tokens.length > MOST_RECORDED_ROWS
            ? compute()
            : this.replays.run(from, [hidden, ...batchInputs(batch)], compute);
        return { hidden: keep(outputs[0]), logits: keep(outputs[1]), sureness: keep(outputs[2]) };
      }),
    );
  }

  private compute(from: 'text' | 'own', hidden: Tensor, batch: StepBatch): Computed<null> {
    const { model } = this;
    const { context } = model.begin(batch);
    const everyRow = { ...context, batch: { ...batch, logitRows: batch.tokens } };
    const finished = from === 'text' ? model.finish(hidden, everyRow).hidden : hidden;
    const last = model.extraBlocks[0].forward(finished, context).gatherRows(batch.logitRows);
    const logits = model.head.forward(last).cast('f32');
    return { outputs: [last, logits, logits.softmax().max(1)], facts: null };
  }

  /** Rows in memory of their own, as replayed passes want them. */
  private take(from: number, to: number): Tensor {
    const parts = this.segments.flatMap(({ start, hidden }) => {
      const [first, last] = [Math.max(from, start), Math.min(to, start + hidden.shape[0])];
      return first < last ? [hidden.slice(0, first - start, last - start)] : [];
    });
    return concat(parts, 0);
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

function free({ hidden, logits, sureness }: Prediction): void {
  for (const tensor of [hidden, logits, sureness]) tensor.dispose();
}
