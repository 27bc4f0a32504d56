import { keep, noGrad, type OpProfile, scope, type Tensor } from '../index.js';
import { type CausalLM, type KVCache, type StepBatch, stepBatch } from '../nn/index.js';
import { StepRecorder } from './step-recorder.js';

/** What one sequence brings to a step. */
export interface StepPart {
  /** Of the cache. */
  readonly sequence: number;
  readonly tokens: readonly number[];
  /** How many of the last tokens need logits. */
  readonly logits: number;
  /** Which adapter its rows use; default -1, none. */
  readonly adapter?: number | undefined;
}

export interface StepResult {
  /** f32 [M, V]: the rows that the parts wanted, in their order; null when none did. The caller disposes it. */
  readonly logits: Tensor | null;
  /** Values of all rows, in the order of the parts; the caller disposes them. */
  readonly collected: ReadonlyMap<string, Tensor>;
}

/**
 * Computes the steps of a model over one cache. Steps of few rows that repeat their shapes, as decoding does, are
 * recorded and replayed where the backend can; the results have the same bits.
 */
export class ModelSteps {
  private readonly recorder: StepRecorder;

  constructor(
    private readonly model: CausalLM,
    private readonly cache: KVCache,
  ) {
    this.recorder = new StepRecorder(model);
  }

  /** Computes tokens of several sequences in one pass, on top of what the cache holds of them. */
  run(parts: readonly StepPart[], collect?: ReadonlySet<string>): StepResult {
    return scope(() => {
      const { logits, collected } = noGrad(() => this.recorder.run(this.batch(parts, collect)));
      for (const value of collected.values()) keep(value);
      return { logits: logits && keep(logits), collected };
    });
  }

  /** Time in each kernel of replayed steps since this was called with `true`; empty where steps are not recorded. */
  measure(on: boolean): readonly OpProfile[] {
    return this.recorder.measure(on);
  }

  /** Frees what was recorded, which later steps record anew; model and cache stay the caller's. */
  dispose(): void {
    this.recorder.dispose();
  }

  private batch(parts: readonly StepPart[], collect: ReadonlySet<string> | undefined): StepBatch {
    const rows: number[] = [];
    let end = 0;
    for (const { tokens, logits } of parts) {
      end += tokens.length;
      for (let row = end - logits; row < end; row++) rows.push(row);
    }
    const sequences = parts.map(({ sequence }) => sequence);
    const startPositions = sequences.map((sequence) => this.cache.length(sequence));
    const tokens = parts.map((part) => part.tokens);
    const cache = this.cache.extend(
      sequences,
      tokens.map(({ length }) => length),
    );
    return stepBatch(tokens, {
      vocabularySize: this.model.vocabularySize,
      logits: rows,
      startPositions,
      cache,
      backend: cache.inputs[0].backend,
      ...(parts.some(({ adapter = -1 }) => adapter >= 0) && {
        adapters: parts.map(({ adapter = -1 }) => adapter),
      }),
      ...(collect && { collect }),
    });
  }
}
