import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModel, type DecoderModel, loadModel, saveModel } from '@frugal/models';
import { type MixtureOfExperts, SelectionBalancer } from '@frugal/moe';
import { expectNoLeaks, noGrad, scope, type Tensor, tensor, zeros } from '@frugal/tensor-core';
import { type BatchSource, nextTokenBatch, stepBatch } from '@frugal/tensor-core/nn';
import {
  AdamW,
  constant,
  languageModelLoss,
  localCollectives,
  NonFiniteLossError,
  type TrainOptions,
  train,
} from '@frugal/trainer';
import { describe, expect, it, onTestFinished } from 'vitest';

const config = {
  architectures: ['DeepseekV3ForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  moe_intermediate_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  q_lora_rank: null,
  kv_lora_rank: 8,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 4,
  v_head_dim: 8,
  n_routed_experts: 8,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  n_group: 1,
  topk_group: 1,
  first_k_dense_replace: 0,
  vocab_size: 32,
  max_position_embeddings: 64,
};
const makeModel = (changes: object = {}) =>
  createModel({ ...config, ...changes }, { seed: 4 }) as DecoderModel;
const mixtureOf = (model: DecoderModel, layer: number) => model.blocks[layer].mlp as MixtureOfExperts;
const biasOf = (model: DecoderModel, layer: number) =>
  mixtureOf(model, layer).router.selectionBias?.value as Tensor;

/** Sequences in which a few tokens are much more frequent than others: routing begins uneven. */
class SkewedSource implements BatchSource {
  private position = 0;
  next() {
    const step = this.position++;
    const draw = (i: number) => (Math.imul(step * 977 + i * 131 + 7, 2654435761) >>> 8) / 2 ** 24;
    return nextTokenBatch(
      Array.from({ length: 4 }, (_, s) =>
        Int32Array.from({ length: 24 }, (_, i) => Math.floor(32 * draw(s * 24 + i) ** 3)),
      ),
    );
  }
  state = () => this.position;
  restore = (state: unknown) => {
    this.position = state as number;
  };
}

function balancedRun(model: DecoderModel, changes: Partial<TrainOptions> = {}, rate = 0.02) {
  const balancer = new SelectionBalancer(model, rate);
  const options: TrainOptions = {
    model,
    batches: new SkewedSource(),
    loss: languageModelLoss(model, balancer),
    optimizer: new AdamW(),
    schedule: constant({ peak: 1e-3 }),
    steps: 6,
    afterStep: (_, finite) => balancer.update(finite),
    ...changes,
  };
  return { balancer, options };
}

async function finish(options: TrainOptions): Promise<void> {
  for await (const _ of train(options));
}

/** Largest load over the mean, on fresh text, per layer. */
async function imbalance(model: DecoderModel): Promise<number[]> {
  const source = new SkewedSource();
  source.restore(10_000);
  const sequences = Array.from({ length: 8 }, () => source.next().sequences).flat();
  const collect = new Set(['blocks.0.mlp.load', 'blocks.1.mlp.load']);
  const { collected } = noGrad(() => model.forward(stepBatch(sequences, { vocabularySize: 32, collect })));
  return Promise.all(
    [...collect].map(async (name) => {
      const load = [...(await (collected.get(name) as Tensor).toFloat32())];
      return (Math.max(...load) * load.length) / load.reduce((a, b) => a + b);
    }),
  );
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-moe-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

describe('balancing by the selection bias', () => {
  it('evens out loads that begin uneven', async () => {
    const model = makeModel();
    const before = await imbalance(model);
    await finish(balancedRun(model, { steps: 120, schedule: constant({ peak: 0 }) }).options);
    const after = await imbalance(model);
    for (const [layer, value] of after.entries()) {
      expect(before[layer]).toBeGreaterThan(1.8);
      expect(value).toBeLessThan(1 + (before[layer] - 1) / 3);
    }
  });

  it('counts each row once with recompute and accumulation, and not in evaluation', async () => {
    const results = await Promise.all(
      [false, true].map(async (recompute) => {
        const model = makeModel();
        model.recompute = recompute;
        const { balancer, options } = balancedRun(model);
        const seen: number[] = [];
        const loss = languageModelLoss(model, {
          collect: balancer.collect,
          observe(collected) {
            balancer.observe(collected);
            seen.push((collected.get('blocks.1.mlp.load') as Tensor).shape[0]);
          },
        });
        const evaluate = { every: 1, run: async () => ({ imbalance: (await imbalance(model))[0] }) };
        await finish({ ...options, loss, evaluate, accumulate: 2 });
        expect(seen).toHaveLength(12);
        return [...(await biasOf(model, 0).toFloat32()), ...(await biasOf(model, 1).toFloat32())];
      }),
    );
    expect(results[1]).toEqual(results[0]);
    expect(new Set(results[0].map((value) => Math.round(value / 0.02)))).not.toEqual(new Set([0]));
  });

  it('is saved: a resumed run ends with the same biases, and a saved model has them', async () => {
    const folder = await temporaryFolder();
    const whole = makeModel();
    await finish(balancedRun(whole).options);
    const checkpoint = { directory: join(folder, 'checkpoints'), every: 3, resume: true };
    await finish(balancedRun(makeModel(), { steps: 3, checkpoint }).options);
    const resumed = makeModel();
    await finish(balancedRun(resumed, { checkpoint }).options);
    await saveModel(resumed, join(folder, 'model'));
    const loaded = (await loadModel(join(folder, 'model'))) as DecoderModel;
    for (const layer of [0, 1]) {
      const bias = await biasOf(whole, layer).toFloat32();
      expect(Math.max(...bias)).toBeGreaterThan(0);
      expect(await biasOf(resumed, layer).toFloat32()).toEqual(bias);
      expect(await biasOf(loaded, layer).toFloat32()).toEqual(bias);
    }
  });

  it('adds up the loads of all ranks before the bias moves', async () => {
    const models = [makeModel(), makeModel()];
    const ranks = localCollectives(2);
    const balancers = models.map((model) => new SelectionBalancer(model, 0.5));
    const loads = [Float32Array.of(9, 0, 0, 0, 0, 0, 0, 0), Float32Array.of(0, 0, 9, 9, 9, 9, 9, 9)];
    balancers.forEach((balancer, rank) => {
      balancer.observe(new Map([['blocks.0.mlp.load', tensor(loads[rank])]]));
    });
    await Promise.all(balancers.map((balancer, rank) => balancer.reduce(ranks[rank])));
    for (const balancer of balancers) balancer.update();
    for (const model of models)
      expect([...(await biasOf(model, 0).toFloat32())]).toEqual([-0.5, 0.5, ...new Array(6).fill(-0.5)]);
  });

  it('trains with the same bits on one rank and on three', async () => {
    const trainedBy = (size: number) =>
      Promise.all(
        localCollectives(size).map(async (collective) => {
          const model = makeModel();
          const { balancer, options } = balancedRun(model, { steps: 4 });
          const reduce = (all: typeof collective) => balancer.reduce(all);
          await finish({ ...options, reduce, distributed: { collective } });
          return Promise.all(
            [biasOf(model, 0), biasOf(model, 1), model.head.parameters()[0].value].map((t) => t.toFloat32()),
          );
        }),
      );
    const [alone] = await trainedBy(1);
    expect(Math.max(...alone[0])).toBeGreaterThan(0);
    for (const rank of await trainedBy(3)) expect(rank).toEqual(alone);
  });

  it('leaves nothing behind, and moves nothing in a step that is not finite', async () => {
    const model = makeModel();
    const balancer = new SelectionBalancer(model);
    await expectNoLeaks(() => {
      scope(() =>
        balancer.observe(new Map([['blocks.0.mlp.load', tensor(Float32Array.of(8, 0, 0, 0, 0, 0, 0, 0))]])),
      );
      scope(() => balancer.update(tensor(0)));
    });
    expect(Math.max(...(await biasOf(model, 0).toFloat32()).map(Math.abs))).toBe(0);
  });

  it('refuses models without such a bias', () => {
    const dense = makeModel({ first_k_dense_replace: 2 });
    expect(() => new SelectionBalancer(dense)).toThrow(/no router of this model has a selection bias/);
  });
});

describe('router logits that are not finite', () => {
  it('stop the training with layer and step, and change nothing', async () => {
    const model = makeModel();
    const { options } = balancedRun(model, {
      steps: 5,
      afterStep: (step) => {
        if (step === 2) mixtureOf(model, 1).router.weight.value.assign(zeros([8, 16]).sub(Number.NaN));
      },
    });
    const error = await finish(options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NonFiniteLossError);
    expect(error).toMatchObject({ step: 3, culprit: 'router logits of blocks.1.mlp' });
    expect((error as Error).message).toMatch(
      /step 3 is not finite, first the router logits of blocks\.1\.mlp/,
    );
    expect([...(await model.head.parameters()[0].value.toFloat32())].every(Number.isFinite)).toBe(true);
  });
});
