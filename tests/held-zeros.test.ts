import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compress,
  InvariantError,
  type ModifierFactory,
  openRunStore,
  parseRecipe,
  readWeight,
} from '@frugal/compress';
import { createModel, skeleton } from '@frugal/models';
import { pruneMethods } from '@frugal/prune';
import { quantMethods } from '@frugal/quant';
import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, type LinearLike, PackedLinear } from '@frugal/tensor-core/nn';
import { afterAll, expect, it } from 'vitest';
import { fourBlockLlama as config } from './support/tiny-llama.js';
import { tokenSequences } from './support/token-sequences.js';

const calibration = tokenSequences(6, 20, 50);
const folder = await mkdtemp(join(tmpdir(), 'frugal-zeros-'));
afterAll(() => rm(folder, { recursive: true }));

/** Trains nothing by itself: `nudged` moves every weight. */
const training: ModifierFactory = {
  type: 'test.train',
  create: (spec) => ({
    spec,
    sites: ['block'],
    needs: { training: true },
    plan: () => ({ sites: [], problems: [] }),
    train: () => ({}),
  }),
};
type Train = NonNullable<Parameters<typeof compress>[2]['train']>;
const nudged: Train = async ({ model, afterStep }) => {
  for (const { value } of model.parameters()) scope(() => noGrad(() => void value.assign(value.add(0.01))));
  afterStep(1);
  return {};
};
const batch = { sequences: calibration, targets: new Int32Array(120) };
const options = {
  methods: [...pruneMethods, ...quantMethods, training],
  calibration,
  rebuild: skeleton,
  data: { next: () => batch, state: () => null, restore: () => {} },
  train: nudged,
};

function recipe(...specs: { type: string; [option: string]: unknown }[]) {
  const stages = specs.map(({ type, targets = { include: ['blocks.**'] }, ...rest }, i) => ({
    name: `stage-${i}`,
    modifiers: [{ type, targets, ...rest }],
  }));
  return parseRecipe({ version: 1, seed: 3, stages });
}

const shallower = { type: 'prune.layers', targets: { include: ['blocks.0'] }, exactly: true };
const model = () => createModel(config, { seed: 1 });
const weightOf = (of: CausalLM, path: string) => readWeight(of.module(path) as LinearLike, path);

async function zeros(of: CausalLM, path: string): Promise<number> {
  const weight = await weightOf(of, path);
  return weight.filter((value) => value === 0).length / weight.length;
}

it('stay zero while a later stage trains', async () => {
  const stages = recipe({ type: 'prune.wanda', sparsity: '2:4' }, { type: 'test.train' });
  const { model: sparse } = await compress(model(), stages, options);
  expect(await zeros(sparse, 'blocks.2.mlp.gate')).toBe(0.5);
});

it.each(['prune.magnitude', 'prune.wanda', 'prune.sparsegpt'])(
  'by %s stay zero in a run that was interrupted while it trained',
  async (type) => {
    const stages = recipe({ type, sparsity: 0.5 }, { type: 'test.train' });
    const { model: whole } = await compress(model(), stages, options);
    const open = (resume: boolean) => openRunStore(join(folder, type), 'run', { resume });
    const stopped: Train = () => Promise.reject(new Error('stopped'));
    const interrupted = compress(model(), stages, { ...options, train: stopped, store: await open(false) });
    await expect(interrupted).rejects.toThrow('stopped');
    const { model: resumed } = await compress(model(), stages, { ...options, store: await open(true) });
    for (const path of ['blocks.0.attention.query', 'blocks.3.mlp.down']) {
      expect(await zeros(resumed, path)).toBeCloseTo(0.5, 2);
      expect(await weightOf(resumed, path)).toEqual(await weightOf(whole, path));
    }
  },
);

it('a resumed run refuses a later stage that brings them back', async () => {
  const stages = recipe(
    { type: 'prune.magnitude', sparsity: 0.5 },
    { type: 'quant.rotate', targets: { include: ['**'] } },
  );
  await expect(compress(model(), stages, options)).rejects.toThrow(InvariantError);
  const open = (resume: boolean) => openRunStore(join(folder, 'refused'), 'run', { resume });
  const [first] = stages.stages;
  await compress(model(), { ...stages, stages: [first] }, { ...options, store: await open(false) });
  await expect(compress(model(), stages, { ...options, store: await open(true) })).rejects.toThrow(
    InvariantError,
  );
});

it.each([
  ['layers went', shallower],
  ['neurons went', { type: 'prune.ffn', keep: 0.5, multipleOf: 4 }],
] as const)('stay zero where %s since', async (_, cut) => {
  const [pruned, train] = [{ type: 'prune.magnitude', sparsity: 0.5 }, { type: 'test.train' }];
  const { model: before } = await compress(model(), recipe(pruned, cut), options);
  const { model: after } = await compress(model(), recipe(pruned, cut, train), options);
  for (const path of ['blocks.0.mlp.down', 'blocks.2.attention.query']) {
    expect(await zeros(before, path)).toBeGreaterThan(0.3);
    expect(await zeros(after, path)).toBe(await zeros(before, path));
  }
});

it('are told apart from weights that a stage after a shorter model brings back', async () => {
  const back = { type: 'quant.rotate', targets: { include: ['**'] } };
  const stages = recipe({ type: 'prune.magnitude', sparsity: 0.5 }, shallower, back);
  await expect(compress(model(), stages, options)).rejects.toThrow(/stage-2.*no longer holds/);
});

it('of one block stay zero in training and are watched, where the block moved to another path', async () => {
  const pruned = { type: 'prune.magnitude', sparsity: 0.5, targets: { include: ['blocks.2.**'] } };
  const { model: held } = await compress(model(), recipe(pruned, shallower, { type: 'test.train' }), options);
  const shares = [0, 1, 2].map((block) => zeros(held, `blocks.${block}.mlp.gate`));
  expect(await Promise.all(shares)).toEqual([0, 0.5, 0]);
  const back = { type: 'quant.rotate', targets: { include: ['**'] } };
  await expect(compress(model(), recipe(pruned, shallower, back), options)).rejects.toThrow(
    /stage-2.*prune\.magnitude no longer holds at blocks\.2\./,
  );
});

it.each(['blocks.1', 'blocks.2'])(
  'what packed %s does not look for it where another block is since',
  async (block) => {
    const packed = { type: 'quant.rtn', format: 'int8-channel', targets: { include: [`${block}.**`] } };
    const { model: small } = await compress(model(), recipe(packed, shallower), options);
    const isPacked = [...small.namedModules()].filter(([, module]) => module instanceof PackedLinear);
    const now = `blocks.${Number(block.at(-1)) - 1}`;
    expect(new Set(isPacked.map(([path]) => path.slice(0, now.length)))).toEqual(new Set([now]));
  },
);
