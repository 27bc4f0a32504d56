import { cpuBackend } from '@frugal/backend-cpu';
import { type Backend, dispatch, Random, referenceBackend, scope, tensor } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

const V = 33_000;
const ROWS = 6;

/** Temperature, top k, top p, min p. */
const settings: readonly (readonly [number, number, number, number])[] = [
  [0, 0, 1, 0],
  [1, 0, 1, 0],
  [0.7, 50, 1, 0],
  [1, 0, 0.9, 0],
  [4, 0, 0.5, 0],
  [1.5, 4000, 0.95, 0],
  [1, 0, 1, 0.02],
  [0.9, 100, 0.8, 0.05],
];

/** Draws for rows of logits [M, V] with settings [M, 5]. */
function sampled(backend: Backend, values: Float32Array, settings: Float32Array): Promise<Int32Array> {
  const M = settings.length / 5;
  return scope(() => {
    const logits = tensor(values, { shape: [M, values.length / M], backend });
    return dispatch('sample', [logits, tensor(settings, { shape: [M, 5], backend })], {})[0];
  }).toInt32();
}

describe('sampling of a large vocabulary', () => {
  it.each(settings)('temperature %d, top k %d, top p %d, min p %d: as defined', async (...row) => {
    const rows = Float32Array.from({ length: ROWS * 5 }, (_, i) =>
      i % 5 === 4 ? (i * 0.618034) % 1 : row[i % 5],
    );
    const values = await new Random(7).normal([ROWS, V], { backend: referenceBackend() }).mul(3).toFloat32();
    // Rounded logits tie often.
    for (let i = 0; i < V; i++) values[i] = Math.round(values[i] * 4) / 4;
    const expected = await sampled(referenceBackend(), values, rows);
    for (const isa of testedIsas)
      expect([isa, await sampled(cpuBackend({ isa }), values, rows)]).toEqual([isa, expected]);
  });
});

const LARGEST_UNIFORM = 1 - 2 ** -24;

it.each([0, 70])('draws no forbidden token by the largest number, top k %d', async (topK) => {
  const [M, size] = [500, 80];
  const values = await new Random(3).normal([M, size], { backend: referenceBackend() }).mul(2).toFloat32();
  const rows = new Float32Array(M * 5);
  for (let row = 0; row < M; row++) {
    rows.set([1, topK, 1, 0, LARGEST_UNIFORM], row * 5);
    values.fill(Number.NEGATIVE_INFINITY, row * size + 1 + (row % 60), (row + 1) * size);
  }
  const expected = await sampled(referenceBackend(), values, rows);
  for (const isa of testedIsas)
    expect([isa, await sampled(cpuBackend({ isa }), values, rows)]).toEqual([isa, expected]);
});

it.each([1e-30, 1e-39, 2 ** -149])('draws the most likely token at temperature %d', async (temperature) => {
  const rows = Float32Array.of(temperature, 0, 1, 0, 0.3, temperature, 3, 0.9, 0, LARGEST_UNIFORM);
  const values = Float32Array.of(1, 3, 2, -1, 0.5, 1, 3, 2, -1, 0.5);
  for (const isa of testedIsas)
    expect([isa, [...(await sampled(cpuBackend({ isa }), values, rows))]]).toEqual([isa, [1, 1]]);
});
