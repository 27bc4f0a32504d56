import { squaredOutput } from '@frugal/compress';
import { gptq, roundTrip } from '@frugal/quant';
import { tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { calibration } from './calibration-fixture.js';

const { weight, gram, shape, integers, json } = await calibration();
const [rows, columns] = shape;

describe('gptq', () => {
  it.each(Object.entries(json.gptq))(
    '%s gives the codes of the reference formulas',
    async (name, options) => {
      const grid = { bits: options.bits, groupSize: options.group, zeroPoint: options.zero_point };
      const result = await gptq(weight, shape, gram, { grid, actOrder: options.act_order });
      const expected = await integers(`gptq.${name}.codes`);
      const different = result.codes.filter((code, i) => code !== expected[i]).length;
      expect(different / expected.length).toBeLessThanOrEqual(0.001);
      const error = await squaredOutput(differenceOf(result, options.group), shape, gram);
      expect(Math.abs(error / json.errors[`gptq.${name}`] - 1)).toBeLessThan(0.001);
      expect(error).toBeLessThan(await squaredOutput(rounded(grid), shape, gram));
    },
  );

  it('predicts the error that it makes', async () => {
    const grid = { bits: 4, groupSize: 32, zeroPoint: false };
    const result = await gptq(weight, shape, gram, { grid });
    const error = await squaredOutput(differenceOf(result, 32), shape, gram);
    expect(2 * result.error).toBeGreaterThan(error); // the damping's share is in it
    expect(2 * result.error).toBeLessThan(1.5 * error);
  });

  it('survives starved statistics and says what it did', async () => {
    const starved = tensor(new Float32Array(columns * columns), { shape: [columns, columns] });
    const result = await gptq(weight, shape, starved, { grid: { bits: 4, groupSize: 32, zeroPoint: false } });
    expect(result.deadColumns).toBe(columns);
    const one = new Float32Array(columns * columns).fill(1); // one sample: rank 1
    const rankOne = await gptq(weight, shape, tensor(one, { shape: [columns, columns] }), {
      grid: { bits: 4, groupSize: 32, zeroPoint: false },
    });
    expect(rankOne.codes.every((code) => code <= 15)).toBe(true);
  });

  it('refuses statistics that are not finite', async () => {
    const values = await gram.toFloat32();
    values[columns * 3 + 3] = Number.NaN;
    const attempt = gptq(weight, shape, tensor(values, { shape: [columns, columns] }), {
      grid: { bits: 4, groupSize: 32, zeroPoint: false },
    });
    await expect(attempt).rejects.toThrow(/not finite in column 3/);
  });
});

function differenceOf(
  { codes, scales, zeros, groups }: Awaited<ReturnType<typeof gptq>>,
  groupSize: number,
): Float32Array {
  return weight.map((value, i) => {
    const group = Math.floor(i / columns) * groups + Math.floor((i % columns) / groupSize);
    return (codes[i] - zeros[group]) * scales[group] - value;
  });
}

function rounded(grid: Parameters<typeof roundTrip>[2]): Float32Array {
  return roundTrip(weight, [rows, columns], grid).map((value, i) => value - weight[i]);
}
