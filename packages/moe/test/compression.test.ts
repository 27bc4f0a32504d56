import { concat, noGrad, Random, scope, swiglu, type Tensor, tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { type ExpertWeights, mergeExperts, mergeGroups } from '../src/index.js';

const [C, F] = [6, 5];
const draw = (seed: number, shape: number[]) => noGrad(() => new Random(seed).normal(shape));

describe('mergeGroups', () => {
  it('joins what is most alike, by the mean similarity of groups', () => {
    const similarity = [
      [1, 0.9, 0.1, 0.2],
      [0.9, 1, 0.3, 0.2],
      [0.1, 0.3, 1, 0.7],
      [0.2, 0.2, 0.7, 1],
    ];
    expect(mergeGroups(similarity, 4)).toEqual([[0], [1], [2], [3]]);
    expect(mergeGroups(similarity, 3)).toEqual([[0, 1], [2], [3]]);
    expect(mergeGroups(similarity, 2)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(mergeGroups(similarity, 1)).toEqual([[0, 1, 2, 3]]);
    expect(() => mergeGroups(similarity, 5)).toThrow(/1 to 4 groups/);
  });
});

describe('mergeExperts', () => {
  const stack = (parts: Tensor[]) =>
    noGrad(() => scope(() => concat(parts.map((part) => part.contiguous().reshape(1, ...part.shape)))));
  const at = (weights: ExpertWeights, e: number) => {
    const take = (value: Tensor) => value.slice(0, e, e + 1).reshape(...value.shape.slice(1));
    return { gate: take(weights.gate), up: take(weights.up), down: take(weights.down) };
  };
  const forward = (weights: ExpertWeights, e: number, x: Tensor) => {
    const { gate, up, down } = at(weights, e);
    return swiglu(x.matmul(gate.transpose()), x.matmul(up.transpose())).matmul(down.transpose());
  };

  it('gives back an expert that was there twice, its neurons in another order', async () => {
    const [gate, up, down] = [draw(1, [F, C]), draw(2, [F, C]), draw(3, [C, F])];
    const order = tensor(Int32Array.of(3, 0, 4, 1, 2));
    const shuffled = [
      gate.gatherRows(order),
      up.gatherRows(order),
      down.transpose().gatherRows(order).transpose(),
    ];
    const other = [draw(4, [F, C]), draw(5, [F, C]), draw(6, [C, F])];
    const weights: ExpertWeights = {
      gate: stack([gate, other[0], shuffled[0]]),
      up: stack([up, other[1], shuffled[1]]),
      down: stack([down, other[2], shuffled[2]]),
      router: draw(7, [3, C]),
    };
    const merged = await mergeExperts(weights, [[0, 2], [1]], [10, 5, 30]);
    expect(merged.gate.shape).toEqual([2, F, C]);
    const x = draw(8, [9, C]);
    for (const [now, before] of [
      [0, 0],
      [1, 1],
    ]) {
      const [a, b] = [
        await forward(merged, now, x).toFloat32(),
        await forward(weights, before, x).toFloat32(),
      ];
      for (const [i, value] of b.entries()) expect(Math.abs(a[i] - value)).toBeLessThan(1e-5);
    }
    const [rows, old] = [await merged.router.toFloat32(), await weights.router.toFloat32()];
    for (let c = 0; c < C; c++) expect(rows[c]).toBeCloseTo(0.25 * old[c] + 0.75 * old[2 * C + c], 5);
  });
});
