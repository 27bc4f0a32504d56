import { magnitudeScores, maskRows, parsePattern, sparseGpt, wandaScores } from '@frugal/prune';
import { ArgumentError, tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { calibration } from './calibration-fixture.js';

const { weight, gram, shape, json, floats, integers } = await calibration();
const columns = shape[1];
const grams = await gram.toFloat32();
const squares = Float32Array.from({ length: columns }, (_, c) => grams[c * columns + c]);

/** tr(D G Dᵀ) in f64. */
function squaredError(changed: Float32Array): number {
  let sum = 0;
  for (let row = 0; row < shape[0]; row++) {
    const d = Float64Array.from(
      { length: columns },
      (_, c) => changed[row * columns + c] - weight[row * columns + c],
    );
    for (let a = 0; a < columns; a++)
      for (let b = 0; b < columns; b++) sum += d[a] * grams[a * columns + b] * d[b];
  }
  return sum;
}

const masked = (mask: Uint8Array) => weight.map((value, i) => value * mask[i]);
const patternOf = (name: string) => parsePattern(name.includes(':') ? name : Number(name));
const names = ['0.5', '0.25', '2:4', '4:8'];

describe('wanda', () => {
  it.each(names)('%s drops what the reference formula drops', async (name) => {
    const dropped = await integers(`wanda.${name}.dropped`);
    const mask = maskRows(wandaScores(weight, squares), shape, patternOf(name));
    expect([...mask].map((keep) => 1 - keep)).toEqual([...dropped]);
  });
});

describe('sparseGpt', () => {
  it.each(names)('%s gives the weights of the reference formulas', async (name) => {
    const expected = await floats(`sparse-gpt.${name}`);
    const { weight: changed, mask } = await sparseGpt(weight, shape, gram, { pattern: patternOf(name) });
    const zerosDiffer = changed.filter((value, i) => (value === 0) !== (expected[i] === 0)).length;
    expect(zerosDiffer / expected.length).toBeLessThanOrEqual(0.001);
    expect(changed.every((value, i) => mask[i] === 1 || value === 0)).toBe(true);
    const error = squaredError(changed);
    expect(Math.abs(error / json.errors[`sparse-gpt.${name}`] - 1)).toBeLessThan(0.001);
    const wanda = squaredError(masked(maskRows(wandaScores(weight, squares), shape, patternOf(name))));
    const magnitude = squaredError(masked(maskRows(magnitudeScores(weight), shape, patternOf(name))));
    expect(error).toBeLessThan(wanda);
    expect(wanda).toBeLessThan(magnitude);
  });

  it('drops exactly the share that is asked for, ties and dead columns included', async () => {
    const flat = new Float32Array(weight.length).fill(0.5);
    const starved = tensor(new Float32Array(columns * columns), { shape: [columns, columns] });
    const { mask } = await sparseGpt(flat, shape, starved, { pattern: patternOf('2:4') });
    for (let i = 0; i < mask.length; i += 4) expect(mask.subarray(i, i + 4).reduce((a, b) => a + b)).toBe(2);
  });

  it('takes groups that are wider than its blocks of columns', async () => {
    const wide = Float32Array.from({ length: 2 * 320 }, (_, i) => 1 + ((i * 7919) % 101));
    const eye = Float32Array.from({ length: 320 * 320 }, (_, i) => (i % 321 === 0 ? 1 : 0));
    const inputs = tensor(eye, { shape: [320, 320] });
    const { mask } = await sparseGpt(wide, [2, 320], inputs, { pattern: patternOf('40:160') });
    // Inputs that do not correlate: the smallest weights go, as by magnitude.
    expect(mask).toEqual(maskRows(magnitudeScores(wide), [2, 320], patternOf('40:160')));
  });
});

describe('maskRows', () => {
  it('keeps 2 of 4 in every group, whatever the scores', () => {
    const scores = Float32Array.from({ length: 8 * 24 }, (_, i) => (i * 7919) % 5);
    const mask = maskRows(scores, [8, 24], patternOf('2:4'));
    for (let i = 0; i < mask.length; i += 4) expect(mask.subarray(i, i + 4).reduce((a, b) => a + b)).toBe(2);
  });

  it.each(['4:2', '0:4', '2:4:8', 1, -0.1, 'half'])('refuses %j', (pattern) => {
    expect(() => parsePattern(pattern)).toThrow(ArgumentError);
  });
});
