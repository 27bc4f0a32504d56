import { compress, findSites, parseRecipe, presetRecipe, squaredOutput } from '@frugal/compress';
import { createModel } from '@frugal/models';
import { clip, clipGroups, roundToNearest, roundTrip } from '@frugal/quant';
import { type Linear, PackedLinear } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { calibration } from './calibration-fixture.js';
import { tinyLlama } from './support/tiny-llama.js';
import { tokenSequences } from './support/token-sequences.js';

const { weight, gram, shape } = await calibration();
const columns = shape[1];
const grid = { bits: 3, groupSize: 32, zeroPoint: false };
const products = await gram.toFloat32();

/** d G dᵀ of what rounding changes in one group of a row, in f64. */
function groupError(row: number, start: number, limit: number): number {
  const part = weight.slice(row * columns + start, row * columns + start + 32);
  const clipped = part.map((value) => Math.max(-limit, Math.min(limit, value)));
  const d = roundTrip(clipped, [1, 32], grid).map((value, i) => value - part[i]);
  let sum = 0;
  for (let i = 0; i < 32; i++)
    for (let k = 0; k < 32; k++) sum += d[i] * products[(start + i) * columns + start + k] * d[k];
  return sum;
}

describe('clipping', () => {
  it('finds the limit of every group that a search by plain sums finds', async () => {
    const result = await clipGroups(weight, shape, { grid, gram, steps: 10 });
    let total = 0;
    for (let row = 0; row < 8; row++)
      for (let start = 0; start < columns; start += 32) {
        const part = (values: Float32Array) =>
          values.slice(row * columns + start, row * columns + start + 32);
        const largest = Math.max(...part(weight).map(Math.abs));
        const errors = Array.from({ length: 11 }, (_, i) => groupError(row, start, (1 - i / 20) * largest));
        const chosen = Math.max(...part(result.weight).map(Math.abs));
        const own = groupError(row, start, chosen);
        total += own;
        expect(own).toBeLessThanOrEqual(Math.min(...errors) * 1.0001);
      }
    expect(total).toBeGreaterThan(0);
    expect(result.clipped).toBeGreaterThan(0.2);
  });

  it('moves the outputs of the layer less, once rounded', async () => {
    const { weight: clipped, error, errorBefore } = await clipGroups(weight, shape, { grid, gram });
    const moved = (values: Float32Array) =>
      squaredOutput(
        roundTrip(values, shape, grid).map((value, i) => value - weight[i]),
        shape,
        gram,
      );
    expect(error).toBeLessThan(errorBefore);
    expect(await moved(clipped)).toBeLessThan(await moved(weight));
  });

  it('leaves queries and keys alone in the preset of AWQ', async () => {
    const model = createModel(tinyLlama, { seed: 1 });
    const { stages } = presetRecipe('int4-awq', model);
    const clipping = stages.flatMap(({ modifiers }) => modifiers).filter(({ type }) => type === 'quant.clip');
    const paths = clipping
      .flatMap(({ targets }) => findSites(model, ['linear'], targets))
      .map(({ path }) => path);
    const layers = ['attention.value', 'attention.output', 'mlp.gate', 'mlp.up', 'mlp.down'];
    expect(paths.sort()).toEqual([0, 1].flatMap((b) => layers.map((name) => `blocks.${b}.${name}`)).sort());
  });

  it('works in the stage that rounds, and refuses what is packed', async () => {
    const limited = { type: 'quant.clip', targets: { include: ['blocks.**'] }, bits: 3, groupSize: 32 };
    const round = { type: 'quant.rtn', targets: { include: ['blocks.**'] }, format: 'int3-g32' };
    const run = (...stages: object[][]) =>
      compress(
        createModel(tinyLlama, { seed: 3 }),
        parseRecipe({
          version: 1,
          seed: 0,
          stages: stages.map((modifiers, i) => ({ name: `s${i}`, modifiers })),
        }),
        { methods: [clip, roundToNearest], calibration: tokenSequences(4, 40, 50) },
      );
    const { model, report } = await run([limited, round]);
    expect(model.module('blocks.1.mlp.down')).toBeInstanceOf(PackedLinear);
    const measured = report.stages[0].outcomes.filter(({ method }) => method === 'quant.clip');
    expect(measured).toHaveLength(14);
    for (const { measured: each } of measured) expect(each.errorShare).toBeLessThanOrEqual(1);
    const untouched = createModel(tinyLlama, { seed: 3 }).module('head') as Linear;
    expect(await (model.module('head') as Linear).weight.value.toFloat32()).toEqual(
      await untouched.weight.value.toFloat32(),
    );
    await expect(run([round], [limited])).rejects.toThrow(/no longer dense/);
  });
});
