import { compress, parseRecipe } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { Random } from '@frugal/tensor-core';
import { Linear } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { shareValues } from '../src/share-values.js';
import { sharedValues } from '../src/shared-values.js';

const normals = (count: number, seed: number) => new Random(seed).normal([count]).toFloat32();
const cost = (row: Float32Array, shared: Float32Array, importance: Float32Array) =>
  row.reduce((sum, value, i) => sum + importance[i] * (value - shared[i]) ** 2, 0);

describe('shareValues', () => {
  it('finds groups that are far apart', () => {
    const row = Float32Array.of(5, 1, 5.2, -3, 0.8, -3.4);
    const shared = shareValues(row, new Float32Array(6).fill(1), 3);
    expect([...shared].map((value) => Number(value.toFixed(4)))).toEqual([5.1, 0.9, 5.1, -3.2, 0.9, -3.2]);
  });

  it.each([1, 2, 3])('costs no more than any single move of a number (seed %i)', async (seed) => {
    const row = await normals(64, seed);
    const importance = (await normals(64, seed + 10)).map((value) => value * value);
    const shared = shareValues(row, importance, 5);
    const values = [...new Set(shared)];
    expect(values.length).toBeLessThanOrEqual(5);
    const best = row.map((number) =>
      values.reduce((a, b) => (Math.abs(b - number) < Math.abs(a - number) ? b : a)),
    );
    expect(cost(row, shared, importance)).toBeLessThanOrEqual(cost(row, best, importance) * (1 + 1e-6));
  });

  it('favours numbers that matter', async () => {
    const row = await normals(256, 4);
    const importance = new Float32Array(256).map((_, i) => (i < 8 ? 100 : 0.01));
    const weighed = shareValues(row, importance, 4);
    const alike = shareValues(row, new Float32Array(256).fill(1), 4);
    expect(cost(row, weighed, importance)).toBeLessThan(0.8 * cost(row, alike, importance));
  });

  it('keeps a row that has few values, and lives with constant rows and dead columns', () => {
    const few = Float32Array.of(1, 2, 1, 2, 1);
    expect(shareValues(few, new Float32Array(5).fill(1), 4)).toEqual(few);
    const constant = new Float32Array(9).fill(0.5);
    expect(shareValues(constant, new Float32Array(9), 4)).toEqual(constant);
  });
});

describe('example.shared-values', () => {
  const config = {
    architectures: ['LlamaForCausalLM'],
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    vocab_size: 64,
  };
  const recipe = (values: number) =>
    parseRecipe({
      version: 1,
      seed: 0,
      stages: [
        {
          name: 'share',
          modifiers: [{ type: 'example.shared-values', targets: { include: ['blocks.**'] }, values }],
        },
      ],
    });
  const calibration = [Int32Array.from({ length: 48 }, (_, i) => (i * i) % 64)];

  it('leaves no more numbers in a row than the recipe says, and the head as it was', async () => {
    const before = await (createModel(config, { seed: 1 }).module('head') as Linear).weight.value.toFloat32();
    const { model, report } = await compress(createModel(config, { seed: 1 }), recipe(4), {
      methods: [sharedValues],
      calibration,
    });
    for (const [path, module] of model.namedModules()) {
      if (!(module instanceof Linear) || !path.startsWith('blocks.')) continue;
      const weight = await module.weight.value.toFloat32();
      for (let at = 0; at < weight.length; at += module.inFeatures)
        expect(new Set(weight.subarray(at, at + module.inFeatures)).size).toBeLessThanOrEqual(4);
    }
    expect(await (model.module('head') as Linear).weight.value.toFloat32()).toEqual(before);
    expect(report.bytesAfter).toBe(report.bytesBefore);
  });

  it('is planned before any work: wrong options and missing calibration are refused', async () => {
    const model = createModel(config, { seed: 1 });
    await expect(compress(model, recipe(1), { methods: [sharedValues], calibration })).rejects.toThrow(
      /values/,
    );
    await expect(compress(model, recipe(4), { methods: [sharedValues] })).rejects.toThrow(/calibration/);
  });
});
