import { createModel } from '@frugal/models';
import { type BatchSource, Linear, nextTokenBatch, type TrainBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import {
  cosine,
  createOptimizer,
  languageModelLoss,
  muonWithAdamW,
  targetRows,
  train,
} from '../src/index.js';
import { collect } from './support.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 24,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};

const batch = (): TrainBatch =>
  nextTokenBatch(
    [
      [1, 2, 3, 4, 5, 6, 7, 8],
      [9, 8, 7, 6],
      [5, 10, 15, 20, 1],
    ].map((sequence) => Int32Array.from(sequence)),
  );

const always = (batch: TrainBatch): BatchSource => ({
  next: () => batch,
  state: () => null,
  restore: () => {},
});

describe('languageModelLoss', () => {
  it('sums the losses of the rows with a target and counts them', async () => {
    const model = createModel(config, { seed: 1 });
    const { sum, weight, tokens } = languageModelLoss(model)(batch());
    expect(weight).toBe(14); // 17 tokens, of which the last of each sequence has no target
    expect(tokens).toBe(17);
    expect((await sum.item()) / weight).toBeCloseTo(Math.log(24), 1);
  });

  it('lets weights count rows more, less or not at all', async () => {
    const model = createModel(config, { seed: 1 });
    const loss = languageModelLoss(model);
    const { sequences, targets } = batch();
    const rowLoss = async (row: number) => {
      const only = Int32Array.from(targets, (target, i) => (i === row ? target : -100));
      return loss({ sequences, targets: only }).sum.item();
    };
    const weights = new Float32Array(17);
    weights.set([0.5, 0, 2], 3);
    const { sum, weight } = loss({ sequences, targets, weights });
    expect(weight).toBe(2.5);
    expect(await sum.item()).toBeCloseTo(0.5 * (await rowLoss(3)) + 2 * (await rowLoss(5)), 4);
  });

  it('refuses batches that do not fit together', () => {
    const { sequences, targets } = batch();
    expect(() => targetRows({ sequences, targets: targets.subarray(1) })).toThrow(
      /one entry per token: got 16 targets; expected 17/,
    );
    expect(() => targetRows({ sequences, targets: targets.map(() => -100) })).toThrow(
      /nothing in it is to be predicted/,
    );
  });

  it.each(['f32', 'bf16', 'int8'] as const)('trains a Llama with Muon and AdamW in %s', async (precision) => {
    const model = createModel(config, { seed: 1 });
    const steps = 40;
    const events = await collect(
      train({
        model,
        batches: always(batch()),
        loss: languageModelLoss(model),
        optimizer: createOptimizer(muonWithAdamW()),
        schedule: cosine({ peak: 0.02, steps, warmup: 2 }),
        steps,
        clipNorm: 1,
        precision,
      }),
    );
    const last = events.at(-1);
    expect(last?.type === 'step' && last.loss).toBeLessThan(0.5);
    const layers = [...model.namedModules()].flatMap(([, module]) =>
      module instanceof Linear ? [module] : [],
    );
    expect(layers.map(({ products }) => products)).toEqual(layers.map(() => 'float'));
  });
});
