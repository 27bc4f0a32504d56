import { memoryUsage, noGrad, resetPeakMemory, scope } from '@frugal/tensor-core';
import { type StepBatch, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { createEncoder, createModel } from '../src/index.js';

const tokens = Array.from({ length: 60 }, (_, i) => (i * 17 + 3) % 50);
const batchOf = (collect?: ReadonlySet<string>) =>
  stepBatch([tokens], { vocabularySize: 50, ...(collect && { collect }) });

/** Bytes that a forward pass takes at most, beside the weights. */
function peakOf(forward: (batch: StepBatch) => unknown): number {
  const before = memoryUsage().bytes;
  resetPeakMemory();
  scope(() => noGrad(() => void forward(batchOf())));
  return memoryUsage().peakBytes - before;
}

const shared = { hidden_size: 24, intermediate_size: 40, num_attention_heads: 4, vocab_size: 50 };
const llama = (blocks: number) => ({
  ...shared,
  architectures: ['LlamaForCausalLM'],
  num_hidden_layers: blocks,
  max_position_embeddings: 64,
});
const bert = (blocks: number) => ({
  ...shared,
  architectures: ['BertModel'],
  num_hidden_layers: blocks,
  max_position_embeddings: 64,
});

describe('a forward pass without a tape', () => {
  it.each([
    ['decoder', (blocks: number) => createModel(llama(blocks), { seed: 3 })],
    ['encoder', (blocks: number) => createEncoder(bert(blocks), { seed: 3 })],
  ])('takes the memory of one block, however many there are: %s', (_, create) => {
    const [few, many] = [2, 8].map((blocks) => {
      const model = create(blocks);
      const peak = peakOf((batch) => model.forward(batch));
      model.dispose();
      return peak;
    });
    expect(many).toBe(few);
  });

  it('keeps what was collected', async () => {
    const model = createModel(llama(3), { seed: 3 });
    const names = ['blocks.0.hidden', 'blocks.1.hidden', 'blocks.2.hidden'];
    const withTape = model.forward(batchOf(new Set(names))).collected;
    const without = scope(() => noGrad(() => model.forward(batchOf(new Set(names))))).collected;
    for (const name of names)
      expect(await without.get(name)?.toFloat32()).toEqual(await withTape.get(name)?.toFloat32());
    model.dispose();
  });
});
