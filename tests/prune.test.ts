import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress, type ModifierFactory, openRunStore, parseRecipe, readWeight } from '@frugal/compress';
import { createModel, skeleton } from '@frugal/models';
import {
  headPruning,
  layerPruning,
  magnitude,
  neuronPruning,
  sparseGptPruning,
  wanda,
  widthPruning,
} from '@frugal/prune';
import { noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, type Linear, type LinearLike, stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fourBlockLlama as config } from './support/tiny-llama.js';
import { tokenSequences } from './support/token-sequences.js';

const methods: readonly ModifierFactory[] = [
  magnitude,
  wanda,
  sparseGptPruning,
  neuronPruning,
  headPruning,
  layerPruning,
  widthPruning,
];
const calibration = tokenSequences(6, 20, 50);

function recipe(...specs: { type: string; targets?: { include: string[] }; [option: string]: unknown }[]) {
  const stages = specs.map(({ type, targets = { include: ['blocks.**'] }, ...rest }, i) => ({
    name: `stage-${i}`,
    modifiers: [{ type, targets, ...rest }],
  }));
  return parseRecipe({ version: 1, seed: 3, stages });
}

function logits(model: CausalLM): Promise<Float32Array> {
  const step = stepBatch(calibration.slice(0, 2), { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(step).logits())).toFloat32();
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

async function zeros(model: CausalLM, path: string): Promise<number> {
  const weight = await readWeight(model.module(path) as LinearLike, path);
  return weight.filter((value) => value === 0).length / weight.length;
}

describe('weights', () => {
  it.each(['prune.magnitude', 'prune.wanda', 'prune.sparsegpt'])(
    '%s leaves the share of zeros',
    async (type) => {
      for (const [sparsity, share] of [
        [0.5, 0.5],
        ['2:4', 0.5],
        ['1:4', 0.75],
      ] as const) {
        const { model, report } = await compress(
          createModel(config, { seed: 1 }),
          recipe({ type, sparsity }),
          {
            methods,
            calibration,
          },
        );
        for (const path of ['blocks.0.attention.query', 'blocks.3.mlp.down'])
          expect(await zeros(model, path)).toBeCloseTo(share, 2);
        const outcome = report.stages[0].outcomes.find(({ path }) => path === 'blocks.1.mlp.up');
        expect(outcome?.measured.zeros).toBeCloseTo(share, 2);
        expect(outcome?.measured.weightError).toBeGreaterThan(0);
      }
    },
  );

  it('refuses packed layers and patterns that do not fit, all at once', async () => {
    const wrong = recipe({ type: 'prune.wanda', sparsity: '3:5' });
    await expect(compress(createModel(config, { seed: 1 }), wrong, { methods, calibration })).rejects.toThrow(
      /blocks\.0\.attention\.query has 32 columns, which is no multiple of 5/,
    );
  });
});

describe('units', () => {
  it('cutting heads equals silencing them', async () => {
    const original = createModel(config, { seed: 5 });
    const { model, report } = await compress(
      createModel(config, { seed: 5 }),
      recipe({ type: 'prune.heads', keep: 0.5 }),
      { methods, calibration, rebuild: skeleton },
    );
    expect(model.config).toMatchObject({ num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 });
    expect(model.module('blocks.1.attention.query')).toMatchObject({ outFeatures: 16, inFeatures: 32 });
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore);
    await silence(original, model, 'attention.output', 16);
    expect(largestDifference(await logits(original), await logits(model))).toBeLessThan(2e-5);
  });

  it('cutting neurons equals silencing them', async () => {
    const original = createModel(config, { seed: 6 });
    const { model } = await compress(
      createModel(config, { seed: 6 }),
      recipe({ type: 'prune.ffn', keep: 0.7, multipleOf: 16 }),
      { methods, calibration, rebuild: skeleton },
    );
    expect(model.config).toMatchObject({ intermediate_size: 32 });
    await silence(original, model, 'mlp.down', 1);
    expect(largestDifference(await logits(original), await logits(model))).toBeLessThan(2e-5);
  });
});

/** Zeroes the columns of a layer that the cut model no longer has, found by their values. */
async function silence(original: CausalLM, cut: CausalLM, name: string, unit: number): Promise<void> {
  for (const i of original.blocks.keys()) {
    const path = `blocks.${i}.${name}`;
    const layer = original.module(path) as Linear;
    const left = cut.module(path) as Linear;
    const [before, after] = [await readWeight(layer, path), await readWeight(left, path)];
    const kept = new Set(after.subarray(0, left.inFeatures));
    const [columns, rows] = [layer.inFeatures, layer.outFeatures];
    const columnStays = Array.from({ length: columns }, (_, c) => kept.has(before[c - (c % unit)]));
    const values = before.map((value, at) => (columnStays[at % columns] ? value : 0));
    layer.weight.value = tensor(values, { shape: [rows, columns] });
  }
}

describe('layers', () => {
  it('a shallower model skips the removed blocks, and says which they were', async () => {
    const original = createModel(config, { seed: 7 });
    const { model, report } = await compress(
      createModel(config, { seed: 7 }),
      recipe({ type: 'prune.layers', targets: { include: ['blocks.*'] }, keep: 0.5 }),
      { methods, calibration, rebuild: skeleton },
    );
    expect(model.blocks).toHaveLength(2);
    const removed = new Set(report.stages[0].outcomes.map(({ path }) => Number(path.split('.')[1])));
    expect(removed.size).toBe(2);
    const influence = report.stages[0].outcomes.map(({ measured }) => measured.influence as number);
    expect(influence.every((value) => value > 0 && value < 1)).toBe(true);
    const step = stepBatch(calibration.slice(0, 2), { vocabularySize: 50 });
    const expected = scope(() =>
      noGrad(() => {
        let { hidden, context } = original.begin(step);
        for (const [i, block] of original.blocks.entries())
          if (!removed.has(i)) hidden = block.forward(hidden, context);
        return original.finish(hidden, context).logits();
      }),
    );
    expect(largestDifference(await expected.toFloat32(), await logits(model))).toBeLessThan(1e-6);
  });

  it('needs somebody who builds the new model', async () => {
    const cut = recipe({ type: 'prune.layers', targets: { include: ['blocks.*'] }, remove: 1 });
    await expect(compress(createModel(config, { seed: 7 }), cut, { methods, calibration })).rejects.toThrow(
      /Pass rebuild/,
    );
  });

  it('refuses to remove all', async () => {
    const all = recipe({ type: 'prune.layers', targets: { include: ['blocks.*'] }, remove: 4 });
    await expect(
      compress(createModel(config, { seed: 7 }), all, { methods, calibration, rebuild: skeleton }),
    ).rejects.toThrow(/4 of 4 blocks cannot go/);
  });

  it('refuses to remove none: half of one layer is no cut', async () => {
    const half = recipe({ type: 'prune.layers', targets: { include: ['blocks.*'] }, keep: 0.5 });
    const single = createModel({ ...config, num_hidden_layers: 1 }, { seed: 7 });
    await expect(compress(single, half, { methods, calibration, rebuild: skeleton })).rejects.toThrow(
      /0 of 1 blocks cannot go/,
    );
  });
});

describe('an interrupted run', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'frugal-compress-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('goes on where it stopped, and ends with the same bytes', async () => {
    const steps = recipe(
      { type: 'prune.layers', targets: { include: ['blocks.*'] }, remove: 1 },
      { type: 'prune.sparsegpt', sparsity: 0.4 },
    );
    const run = async (stopAfter: number, resume: boolean) => {
      let sites = 0;
      const store = await openRunStore(join(folder, 'run'), 'the key', { resume });
      return compress(createModel(config, { seed: 8 }), steps, {
        methods,
        calibration,
        rebuild: skeleton,
        store,
        onProgress: () => {
          if (++sites > stopAfter) throw new Error('killed');
        },
      });
    };
    const whole = await run(Number.POSITIVE_INFINITY, false);
    const expected = await logits(whole.model);
    for (const [i, stopAfter] of [0, 3, 9, 9].entries())
      await expect(run(stopAfter, i > 0)).rejects.toThrow('killed');
    const resumed = await run(Number.POSITIVE_INFINITY, true);
    expect(await logits(resumed.model)).toEqual(expected);
    const strip = ({ report }: typeof whole) =>
      report.stages.map(({ outcomes, bytes }) => ({ outcomes, bytes }));
    expect(strip(resumed)).toEqual(strip(whole));
  });

  it('is refused to another recipe', async () => {
    await openRunStore(join(folder, 'other'), 'recipe A', { resume: false });
    await expect(openRunStore(join(folder, 'other'), 'recipe B', { resume: true })).rejects.toThrow(
      /interrupted run was another one/,
    );
  });
});

describe('width', () => {
  it('removes channels that are always zero without a trace', async () => {
    const model = createModel({ ...config, tie_word_embeddings: true }, { seed: 4 });
    const gone = [1, 5, 6, 12, 17, 18, 30, 31];
    const keptChannels = tensor(Float32Array.from({ length: 32 }, (_, c) => (gone.includes(c) ? 0 : 1)));
    for (const [path, module] of model.namedModules()) {
      const { weight } = module as Linear;
      if (path === 'embed') weight.value = noGrad(() => weight.value.mul(keptChannels).mul(100)); // beside which epsilon is nothing
      if (/attention\.output|mlp\.down/.test(path))
        weight.value = noGrad(() => weight.value.mul(keptChannels.reshape(-1, 1)));
    }
    const before = await logits(model);
    const { model: narrow, report } = await compress(
      model,
      recipe({ type: 'prune.width', targets: { include: ['residual'] }, keep: 0.75, multipleOf: 8 }),
      { methods, calibration, rebuild: skeleton },
    );
    expect(narrow.config).toMatchObject({ hidden_size: 24, head_dim: 8 });
    expect(report.bytesAfter).toBeLessThan(0.8 * report.bytesBefore);
    expect(largestDifference(await logits(narrow), before)).toBeLessThan(1e-4);
  });
});

describe('owl', () => {
  it('spares blocks with outliers, the same number of zeros in all', async () => {
    const model = createModel(config, { seed: 1 });
    const { weight } = model.module('blocks.2.mlp.up') as Linear;
    const spikes = Float32Array.from({ length: 48 * 32 }, (_, i) => (i % 9 === 0 ? 30 : 1));
    weight.value = noGrad(() => weight.value.mul(tensor(spikes, { shape: [48, 32] })));
    const owl = recipe({ type: 'prune.wanda', sparsity: 0.5, allocation: 'owl', spread: 0.2 });
    await compress(model, owl, { methods, calibration });
    const of = async (block: number) => {
      const paths = ['attention.query', 'attention.output', 'mlp.gate', 'mlp.up'];
      const shares = await Promise.all(paths.map((path) => zeros(model, `blocks.${block}.${path}`)));
      return shares.reduce((sum, share) => sum + share, 0) / paths.length;
    };
    const shares = await Promise.all([0, 1, 2, 3].map(of));
    expect(Math.min(...shares)).toBe(shares[2]);
    expect(shares[2]).toBeLessThan(0.42);
    expect(shares.reduce((sum, share) => sum + share, 0) / 4).toBeCloseTo(0.5, 1);
  });

  it('is for shares of zeros, with calibration data', async () => {
    const run = (sparsity: number | string) =>
      compress(
        createModel(config, { seed: 1 }),
        recipe({ type: 'prune.magnitude', sparsity, allocation: 'owl' }),
        {
          methods,
        },
      );
    await expect(run('2:4')).rejects.toThrow(/owl needs a share of zeros/);
    await expect(run(0.5)).rejects.toThrow(/needs calibration data/);
  });
});
