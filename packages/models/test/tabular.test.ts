import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crossEntropy, noGrad, scope, tensor } from '@frugal/tensor-core';
import { isLinearLike } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTabular, loadTabular, saveModel, type TabularBatch, type TabularModel } from '../src/index.js';

const shared = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  numeric_features: 3,
  category_sizes: [4, 2],
  num_outputs: 2,
};
const { num_attention_heads: _, ...withoutHeads } = shared;
const configs = {
  'FT-Transformer': { ...shared, architectures: ['FrugalTabularTransformer'] },
  MLP: { ...withoutHeads, architectures: ['FrugalTabularMLP'] },
};

/** The class is whether the second number is above a threshold that the first category sets. */
function table(rows: number, seed: number): TabularBatch & { readonly classes: Int32Array } {
  const values = Float32Array.from(
    { length: rows * 3 },
    (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * 1.5,
  );
  const categories = Int32Array.from({ length: rows * 2 }, (_, i) => (i * 7 + seed) % (i % 2 === 0 ? 4 : 2));
  const classes = Int32Array.from({ length: rows }, (_, i) =>
    Number(values[3 * i + 1] > categories[2 * i] * 0.4 - 0.6),
  );
  return {
    numeric: tensor(values, { shape: [rows, 3] }),
    categorical: tensor(categories, { shape: [rows, 2] }),
    classes,
  };
}

function scores(model: TabularModel, batch: TabularBatch): Promise<Float32Array> {
  return scope(() => noGrad(() => model.forward(batch))).toFloat32();
}

async function accuracy(model: TabularModel, batch: ReturnType<typeof table>): Promise<number> {
  const values = await scores(model, batch);
  const right = batch.classes.filter((label, i) => Number(values[2 * i + 1] > values[2 * i]) === label);
  return right.length / batch.classes.length;
}

describe.each(Object.entries(configs))('tabular %s', (_, config) => {
  it('learns a rule of numbers and categories', async () => {
    const model = createTabular(config, { seed: 3 });
    const train = table(256, 1);
    for (let step = 0; step < 60; step++) {
      scope(() => {
        crossEntropy(model.forward(train), tensor(train.classes)).mean().backward();
        for (const parameter of model.parameters()) {
          const { gradient } = parameter;
          if (!gradient) continue;
          // Sign descent: enough for a test, and without an optimizer.
          const rate = step < 40 ? 0.01 : 0.003;
          parameter.value = noGrad(() => parameter.value.sub(gradient.sign().mul(rate)));
        }
      });
    }
    expect(await accuracy(model, table(256, 5))).toBeGreaterThan(0.85);
    model.dispose();
  });

  it('treats rows independently, and opens what it saved', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'frugal-tabular-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const model = createTabular(config, { seed: 1 });
    const batch = table(5, 2);
    const all = await scores(model, batch);
    const third = { numeric: batch.numeric.slice(0, 2, 3), categorical: batch.categorical.slice(0, 2, 3) };
    const alone = await scores(model, third);
    for (const i of [0, 1]) expect(alone[i]).toBeCloseTo(all[4 + i], 5);
    await saveModel(model, join(directory, 'model'));
    expect(await scores(await loadTabular(join(directory, 'model')), batch)).toEqual(all);
  });

  it('says what compression may change', () => {
    const model = createTabular(config, { seed: 1 });
    for (const { members, units } of model.couplings()) {
      for (const { path, axis, entriesPerUnit } of members) {
        const layer = model.module(path);
        if (!isLinearLike(layer)) continue;
        expect(axis === 'rows' ? layer.outFeatures : layer.inFeatures, path).toBe(units * entriesPerUnit);
      }
    }
    for (const { norm, consumers } of model.normGroups())
      for (const path of [norm, ...consumers]) expect(() => model.module(path)).not.toThrow();
  });
});

it('refuses a table without features', () => {
  expect(() =>
    createTabular({ ...configs.MLP, numeric_features: 0, category_sizes: [] }, { seed: 1 }),
  ).toThrow(/needs features/);
});
