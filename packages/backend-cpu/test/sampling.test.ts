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

describe('sampling of a large vocabulary', () => {
  it.each(settings)('temperature %d, top k %d, top p %d, min p %d: as defined', async (...row) => {
    const rows = Float32Array.from({ length: ROWS * 5 }, (_, i) =>
      i % 5 === 4 ? (i * 0.618034) % 1 : row[i % 5],
    );
    const values = await new Random(7).normal([ROWS, V], { backend: referenceBackend() }).mul(3).toFloat32();
    // Rounded logits tie often.
    for (let i = 0; i < V; i++) values[i] = Math.round(values[i] * 4) / 4;
    const sampled = (backend: Backend) =>
      scope(() => {
        const logits = tensor(values, { shape: [ROWS, V], backend });
        return dispatch('sample', [logits, tensor(rows, { shape: [ROWS, 5], backend })], {})[0];
      }).toInt32();
    const expected = await sampled(referenceBackend());
    for (const isa of testedIsas) expect([isa, await sampled(cpuBackend({ isa }))]).toEqual([isa, expected]);
  });
});
