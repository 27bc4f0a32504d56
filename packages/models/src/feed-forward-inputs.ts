import { concat, keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, onForward, stepBatch } from '@frugal/tensor-core/nn';
import type { DecoderBlock } from './decoder.js';

/**
 * What the feed-forward layers of a decoder get to see in texts: f32 [N, C] by path (`blocks.3.mlp`), for the caller to
 * dispose. Sequences are run one after the other.
 */
export function feedForwardInputs(
  model: CausalLM,
  sequences: readonly ArrayLike<number>[],
): Map<string, Tensor> {
  const seen = new Map<string, Tensor[]>();
  const watch = (model.blocks as readonly DecoderBlock[]).map(({ mlp }, i) => {
    const rows: Tensor[] = [];
    seen.set(`blocks.${i}.mlp`, rows);
    return onForward(mlp, ([x]) => void rows.push(keep(x.cast('f32').copy())));
  });
  const backend = model.parameters()[0]?.value.backend;
  try {
    for (const sequence of sequences) {
      const batch = stepBatch([sequence], { vocabularySize: model.vocabularySize, logits: 'last', backend });
      noGrad(() => scope(() => void model.forward(batch)));
      for (const input of [batch.tokens, batch.positions, batch.sequenceStarts, batch.logitRows])
        input.dispose();
    }
  } finally {
    for (const each of watch.reverse()) each[Symbol.dispose]();
  }
  return new Map(
    [...seen].map(([path, rows]) => {
      const all = noGrad(() => concat(rows));
      for (const part of rows) part.dispose();
      return [path, all];
    }),
  );
}
