import { keep, noGrad, scope, type Tensor } from '../index.js';
import { type CausalLM, type KVCache, stepBatch } from '../nn/index.js';

/** What one sequence brings to a step. */
export interface StepPart {
  /** Of the cache. */
  readonly sequence: number;
  readonly tokens: readonly number[];
  /** How many of the last tokens need logits. */
  readonly logits: number;
}

export interface StepResult {
  /** [M, V]: the rows that the parts wanted, in their order; null when none did. The caller disposes it. */
  readonly logits: Tensor | null;
  /** Values of all rows, in the order of the parts; the caller disposes them. */
  readonly collected: ReadonlyMap<string, Tensor>;
}

/** Computes tokens of several sequences in one pass, on top of what the cache holds of them. */
export function modelStep(
  model: CausalLM,
  cache: KVCache,
  parts: readonly StepPart[],
  collect?: ReadonlySet<string>,
): StepResult {
  const rows: number[] = [];
  let end = 0;
  for (const { tokens, logits } of parts) {
    end += tokens.length;
    for (let row = end - logits; row < end; row++) rows.push(row);
  }
  return scope(() =>
    noGrad(() => {
      const sequences = parts.map(({ sequence }) => sequence);
      const startPositions = sequences.map((sequence) => cache.length(sequence));
      const counts = parts.map(({ tokens }) => tokens.length);
      const view = cache.extend(sequences, counts);
      const batch = stepBatch(
        parts.map(({ tokens }) => tokens),
        {
          vocabularySize: model.vocabularySize,
          logits: rows,
          startPositions,
          cache: view,
          backend: view.lengths.backend,
          ...(collect && { collect }),
        },
      );
      const output = model.forward(batch);
      for (const value of output.collected.values()) keep(value);
      return {
        logits: rows.length > 0 ? keep(output.logits().cast('f32')) : null,
        collected: output.collected,
      };
    }),
  );
}
