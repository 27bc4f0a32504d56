import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachAdapters } from '@frugal/lora';
import { createModel } from '@frugal/models';
import { SelectionBalancer } from '@frugal/moe';
import {
  type Backend,
  type Collective,
  expectNoLeaks,
  referenceBackend,
  setBackend,
} from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { type CausalLM, nextTokenBatch, placeBlocks } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  languageModelLoss,
  localCollectives,
  muonWithAdamW,
  type OptimizerConfig,
  schedules,
  type TrainOptions,
  train,
  WeightAverage,
} from '@frugal/trainer';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as ascend from '../packages/backend-ascend/test/ascend.js';
import * as cuda from '../packages/backend-cuda/test/tensorflow.js';
import { SmallDevice } from '../packages/trainer/test/small-device.js';
import { useNativeBackend } from './support/native.js';

const folder = mkdtempSync(join(tmpdir(), 'frugal-spread-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => setBackend(referenceBackend()));

const dense = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 13,
  max_position_embeddings: 64,
};

/** With a selection bias, which moves after each step. */
const experts = {
  ...dense,
  architectures: ['DeepseekV3ForCausalLM'],
  num_key_value_heads: 2,
  first_k_dense_replace: 1,
  n_routed_experts: 4,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  n_group: 1,
  topk_group: 1,
  moe_intermediate_size: 8,
  kv_lora_rank: 8,
  q_lora_rank: 8,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 4,
  v_head_dim: 8,
};

function batches() {
  let drawn = 0;
  return {
    next: () =>
      nextTokenBatch(
        [++drawn, drawn + 4].map((s) => Int32Array.from({ length: 9 }, (_, i) => (3 * i + s) % 13)),
      ),
    state: () => drawn,
    restore: (state: unknown) => {
      drawn = state as number;
    },
  };
}

type Config = Parameters<typeof createModel>[0];
type Part = Partial<Omit<TrainOptions, 'distributed'>> & { readonly config?: Config };
type Ranks = Partial<NonNullable<TrainOptions['distributed']>>;

interface Trained {
  readonly losses: readonly number[];
  readonly norms: readonly number[];
  /** Of parameters, buffers and averages. */
  readonly weights: readonly (readonly number[])[];
}

/** A run with accumulation and an average; block 1 lies on `device`, where there is one. */
async function run(
  device: Backend | null,
  optimizer: OptimizerConfig,
  { steps = 4, config = dense, ...changes }: Part & Pick<TrainOptions, 'distributed'> = {},
): Promise<Trained> {
  const model = createModel(config, { seed: 1 });
  if (device) await placeBlocks(model, [{ first: 1, last: 1, backend: device }]);
  const average = new WeightAverage({ decay: 0.5 });
  const balancer = config === experts ? new SelectionBalancer(model, 0.01) : null;
  const options = {
    model,
    batches: batches(),
    loss: languageModelLoss(model, balancer ?? undefined),
    optimizer: createOptimizer(optimizer),
    schedule: schedules.constant({ peak: 0.01 }),
    afterStep: (_: number, finite: Parameters<NonNullable<TrainOptions['afterStep']>>[1]) =>
      balancer?.update(finite),
    ...(balancer && { reduce: (ranks: Collective) => balancer.reduce(ranks) }),
    steps,
    accumulate: 2,
    average,
    ...changes,
  };
  const [losses, norms]: [number[], number[]] = [[], []];
  for await (const event of train(options)) {
    if (event.type !== 'step') continue;
    losses.push(event.loss);
    norms.push(event.gradientNorm);
  }
  const places = [...model.blocks.keys()].map((i) => model.blocks[i].parameters()[0].value.backend);
  if (device) expect(places[1]).toBe(device);
  const weights: number[][] = [];
  const names = [...model.namedParameters()].map(([path]) => path);
  const averages = names.flatMap((path) => average.state().get(path) ?? []);
  const held = [...model.namedParameters(), ...model.namedBuffers()].map(([, { value }]) => value);
  for (const one of [...held, ...averages]) weights.push([...(await one.toFloat32())]);
  options.optimizer.dispose();
  average.dispose();
  balancer?.dispose();
  model.dispose();
  return { losses, norms, weights };
}

const optimizers: readonly (readonly [string, OptimizerConfig])[] = [
  ['AdamW', { type: 'adamw' }],
  ['AdamW in 8 bits', { type: 'adamw8bit', blockSize: 16, minimumSize: 20 }],
  ['SGD', { type: 'sgd', momentum: 0.9 }],
  ['Muon with AdamW', muonWithAdamW()],
];

describe('a model on two devices of the same numbers', () => {
  const device = new SmallDevice();
  beforeEach(() => setBackend(new SmallDevice()));

  it.each(optimizers)('trains with %s to the bits of one device', async (_, optimizer) => {
    const one = await run(null, optimizer);
    const { losses, weights } = await expectNoLeaks(() => run(device, optimizer));
    expect(losses).toEqual(one.losses);
    expect(weights).toEqual(one.weights);
    expect(one.losses[3]).toBeLessThan(one.losses[0]);
  });

  it('clips by the norm of all gradients', async () => {
    const one = await run(null, { type: 'sgd' }, { clipNorm: 0.1 });
    const two = await run(device, { type: 'sgd' }, { clipNorm: 0.1 });
    // Sums of two devices are added: in another order than one adds.
    for (const [i, norm] of one.norms.entries()) expect(Math.abs(two.norms[i] / norm - 1)).toBeLessThan(1e-6);
    for (const [i, loss] of one.losses.entries()) expect(two.losses[i]).toBeCloseTo(loss, 6);
    expect(Math.min(...one.norms)).toBeGreaterThan(0.1);
  });

  it.each(['bf16', 'f16'] as const)('trains in %s', async (precision) => {
    const one = await run(null, { type: 'adamw' }, { precision });
    const two = await run(device, { type: 'adamw' }, { precision });
    expect(two.losses).toEqual(one.losses);
    expect(two.weights).toEqual(one.weights);
  });

  it('recomputes blocks', async () => {
    const one = await run(null, { type: 'adamw' });
    const two = await run(device, { type: 'adamw' }, { recompute: true });
    expect(two.losses).toEqual(one.losses);
    expect(two.weights).toEqual(one.weights);
  });

  it('balances experts', async () => {
    const one = await run(null, { type: 'adamw' }, { config: experts });
    const two = await run(device, { type: 'adamw' }, { config: experts });
    expect(two.losses).toEqual(one.losses);
    expect(two.weights).toEqual(one.weights);
  });

  it.each(optimizers)(
    'goes on with %s from its checkpoint, there or on one device',
    async (name, optimizer) => {
      const whole = await run(null, optimizer, { steps: 6 });
      for (const [i, second] of [device, null].entries()) {
        const checkpoint = { directory: join(folder, `${name}-${i}`), resume: true };
        await run(device, optimizer, { steps: 3, checkpoint });
        const { losses, weights } = await run(second, optimizer, { steps: 6, checkpoint });
        expect(losses).toEqual(whole.losses.slice(3));
        expect(weights).toEqual(whole.weights);
      }
    },
  );

  it('trains adapters', async () => {
    const tuned = async (place: Backend | null) => {
      const model = createModel(dense, { seed: 1 });
      attachAdapters(model, { rank: 2, targets: { include: ['blocks.*.mlp.*'] }, seed: 3 });
      if (place) await placeBlocks(model, [{ first: 0, last: 1, backend: place }]);
      const run = train({
        model,
        batches: batches(),
        loss: languageModelLoss(model),
        optimizer: createOptimizer({ type: 'adamw' }),
        schedule: schedules.constant({ peak: 0.05 }),
        steps: 3,
      });
      const losses: number[] = [];
      for await (const event of run) if (event.type === 'step') losses.push(event.loss);
      return losses;
    };
    expect(await tuned(device)).toEqual(await tuned(null));
  });

  /** What each of two ranks ends with; block 1 of the model lies on the device of its rank, where there is one. */
  const ranksOf = (
    devices: readonly (Backend | null)[],
    optimizer: OptimizerConfig,
    part: Part,
    ranks: Ranks = {},
  ) =>
    Promise.all(
      localCollectives(2).map((collective, rank) =>
        run(devices[rank], optimizer, { ...part, distributed: { collective, ...ranks } }),
      ),
    );

  it.each(optimizers)('trains in two processes with %s', async (name, optimizer) => {
    const checkpoint = { directory: join(folder, `ranks-${name}`), resume: true };
    const one = await ranksOf([null, null], optimizer, { config: experts });
    await ranksOf([device, new SmallDevice()], optimizer, { config: experts, steps: 2, checkpoint });
    // The second rank has no such device any more.
    const two = await ranksOf([device, null], optimizer, { config: experts, checkpoint });
    for (const rank of [0, 1]) {
      expect(two[rank].losses).toEqual(one[rank].losses.slice(2));
      expect(two[rank].norms).toEqual(one[rank].norms.slice(2));
      expect(two[rank].weights).toEqual(one[rank].weights);
    }
  });

  it('trains in two processes that exchange weights now and then', async () => {
    const part = { config: experts, average: undefined, reduce: undefined };
    const ranks = { local: { steps: 2 }, speeds: [2, 1] };
    const one = await ranksOf([null, null], { type: 'adamw' }, part, ranks);
    const two = await ranksOf([device, new SmallDevice()], { type: 'adamw' }, part, ranks);
    expect(two.map(({ losses }) => losses)).toEqual(one.map(({ losses }) => losses));
    expect(two.map(({ weights }) => weights)).toEqual(one.map(({ weights }) => weights));
  });
});

/** Backends of their own arithmetic. */
const others = [
  { name: 'TensorFlow', open: cuda.openBackend, prepare: cuda.needsTensorFlow },
  {
    name: 'the stub of CANN',
    open: ascend.openBackend,
    prepare: () => {
      ascend.needsStub();
      ascend.expectNoViolations();
    },
  },
];

describe.each(others)('a model on native kernels and $name', ({ open, prepare }) => {
  prepare();
  beforeEach((context) => {
    if (!useNativeBackend()) context.skip('needs the native addon');
  });

  it.each(optimizers)('trains with %s', async (_, optimizer) => {
    const [one, two] = [
      await run(null, optimizer, { clipNorm: 0.5 }),
      await run(open(), optimizer, { clipNorm: 0.5 }),
    ];
    for (const [i, loss] of one.losses.entries()) expect(two.losses[i]).toBeCloseTo(loss, 3);
    for (const [i, norm] of one.norms.entries()) expect(two.norms[i]).toBeCloseTo(norm, 2);
  });

  it('trains in bf16 and generates', async () => {
    const losses = async (device: Backend | null) =>
      (await run(device, { type: 'adamw' }, { precision: 'bf16' })).losses;
    const [one, two] = [await losses(null), await losses(open())];
    for (const [i, loss] of one.entries()) expect(Math.abs(two[i] - loss)).toBeLessThan(0.02);
    expect(await tokensOf(open())).toEqual(await tokensOf(null));
  });
});

async function tokensOf(device: Backend | null): Promise<number[]> {
  const model: CausalLM = createModel(dense, { seed: 5 });
  if (device) await placeBlocks(model, [{ first: 1, last: 2, backend: device }]);
  const tokens: number[] = [];
  for await (const id of generate(model, Int32Array.of(1, 4, 7), { maxTokens: 12, temperature: 0 }))
    tokens.push(id);
  model.dispose();
  return tokens;
}
