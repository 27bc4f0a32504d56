import { noGrad, Random, tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { clusterDirections, expertStacks, planUpcycle, route } from '../src/index.js';

const [F, C] = [12, 8];
const draw = (seed: number, shape: number[]) => noGrad(() => new Random(seed).normal(shape));

describe('planUpcycle', () => {
  it('counts copies and sizes', () => {
    expect(planUpcycle({ experts: 12, chosen: 6, slices: 4, shared: 1 }, F)).toEqual({
      ...{ experts: 12, chosen: 6, slices: 4, shared: 1 },
      ...{ size: 3, sharedSize: 3, routed: 3, copies: 4 },
    });
  });

  it.each<[string, Parameters<typeof planUpcycle>[0], RegExp]>([
    ['pieces that do not divide', { experts: 4, chosen: 2, slices: 5 }, /5 of 12 neurons/],
    ['nothing but shared pieces', { experts: 4, chosen: 2, slices: 2, shared: 2 }, /0 to 1/],
    ['experts that are no whole copies', { experts: 7, chosen: 2, slices: 2 }, /a multiple of 2/],
    ['a choice of half copies', { experts: 8, chosen: 3, slices: 2 }, /a multiple of 2/],
    ['more chosen than there are', { experts: 4, chosen: 6, slices: 2 }, /at most 4/],
  ])('refuses %s', (_, options, message) => {
    expect(() => planUpcycle(options, F)).toThrow(message);
  });
});

describe('expertStacks', () => {
  it('copies exactly, and with noise all copies but the first', async () => {
    const weights = { gate: draw(1, [F, C]), up: draw(2, [F, C]), down: draw(3, [C, F]) };
    const plan = planUpcycle({ experts: 6, chosen: 2, slices: 2 }, F);
    const exact = await expertStacks(weights, plan).gate.toFloat32();
    const gate = await weights.gate.toFloat32();
    for (let copy = 0; copy < 3; copy++) expect(exact.slice(copy * F * C, (copy + 1) * F * C)).toEqual(gate);
    const noisy = await expertStacks(weights, plan, { noise: 0.1, random: new Random(5) }).gate.toFloat32();
    expect(noisy.slice(0, F * C)).toEqual(gate);
    const change = noisy.slice(F * C).map((value, i) => value - gate[i % (F * C)]);
    const deviation = Math.sqrt(change.reduce((sum, value) => sum + value ** 2, 0) / change.length);
    expect(deviation).toBeGreaterThan(0.07);
    expect(deviation).toBeLessThan(0.13);
  });
});

describe('clusterDirections', () => {
  /** Three bundles of rows, all shifted by one large mean. */
  async function bundles() {
    const centers = await draw(4, [3, C]).toFloat32();
    const noise = await draw(5, [90, C]).toFloat32();
    const rows = Float32Array.from(
      { length: 90 * C },
      (_, i) => 5 + 2 * centers[(Math.floor(i / C) % 3) * C + (i % C)] + 0.1 * noise[i],
    );
    return tensor(rows, { shape: [90, C] });
  }

  it('sends rows that are alike to one expert, and those that are not to others', async () => {
    const x = await bundles();
    const directions = await clusterDirections(x, 3, new Random(7));
    const logits = x.matmul(directions.transpose());
    const chosen = await route(logits, { chosen: 1, gate: 'softmax', normalize: true }).experts.toInt32();
    for (let n = 3; n < 90; n++) expect(chosen[n]).toBe(chosen[n % 3]);
    expect(new Set(chosen).size).toBe(3);
  });

  it('gives the same for the same seed, and copes with rows that are all alike', async () => {
    const x = await bundles();
    const read = async () => (await clusterDirections(x, 3, new Random(7))).toFloat32();
    expect(await read()).toEqual(await read());
    const alike = tensor(new Float32Array(4 * C).fill(1), { shape: [4, C] });
    const directions = await (await clusterDirections(alike, 3, new Random(1))).toFloat32();
    expect(directions.every(Number.isFinite)).toBe(true);
    await expect(clusterDirections(alike, 5, new Random(1))).rejects.toThrow(/too few tokens.*4 tokens/);
  });
});
