import { cpuBackend } from '@frugal/backend-cpu';
import { packedFormat } from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

const COLUMNS = 512;
const formats = ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'q8_0', 'q4_0', 'q5_0', 'q4_1', 'q5_1', 'iq4_nl'];

let state = 1;
/** Uniform in 0 … 1. */
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return (state >>> 8) / 2 ** 24;
}

/** About normal. */
const normal = () => random() + random() + random() + random() - 2;

/** Rows that take every branch of the search. */
const kinds: Readonly<Record<string, (i: number) => number>> = {
  normal: () => normal() * 0.05,
  uniform: () => random() - 0.5,
  'of heavy tails': () => normal() ** 5,
  'one far away': (i) => (i % 97 === 0 ? 3 : normal() * 0.01),
  'not negative': (i) => (i % 3 === 0 ? 0 : random()),
  'not positive': (i) => -(i % 3 === 0 ? 0 : random()),
  'negative zeros': (i) => (i % 5 === 0 ? -0 : i < 300 ? random() : -random()),
  'all 0': () => 0,
  'all -0': () => -0,
  'all alike': () => -0.25,
  'all alike, positive': () => 0.25,
  'a grid': () => Math.floor(random() * 8) / 8,
  subnormal: () => normal() * 1e-40,
  tiny: () => normal() * 1e-12,
  huge: () => normal() * 1e30,
  largest: () => (random() < 0.5 ? -1 : 1) * 3.4e38,
  'some empty blocks': (i) => (Math.floor(i / 16) % 3 === 0 ? 0 : normal()),
};

const values = Float32Array.from(
  Object.values(kinds).flatMap((value) => Array.from({ length: COLUMNS }, (_, i) => value(i))),
);
const rows = values.length / COLUMNS;

const importances: Readonly<Record<string, () => number>> = {
  random: () => random() ** 4,
  'mostly 0': () => (random() < 0.1 ? 1 : 0),
};

describe.each(testedIsas)('packing with %s gives the bytes of the reference', (isa) => {
  it.each(formats)('%s', (format) => {
    for (const threads of [1, 3]) {
      const backend = cpuBackend({ isa, threads, minimumWork: 0 });
      const given = [
        undefined,
        ...Object.values(importances).map((draw) => Float32Array.from({ length: COLUMNS }, draw)),
      ];
      for (const importance of given) {
        const [expected] = packedFormat(format).pack(values, rows, COLUMNS, { importance });
        const packed = backend.pack(format, values, COLUMNS, { importance });
        expect(packed).toHaveLength(1);
        expect(Buffer.compare(packed?.[0] as Uint8Array, expected as Uint8Array)).toBe(0);
      }
    }
  });
});

it('leaves numbers that are not finite, and other formats, to the reference', () => {
  const backend = cpuBackend();
  const strange = values.slice();
  strange[700] = Number.NaN;
  expect(backend.pack('q4_k', strange, COLUMNS, {})).toBeNull();
  strange[700] = Number.NEGATIVE_INFINITY;
  expect(backend.pack('q6_k', strange, COLUMNS, {})).toBeNull();
  expect(backend.pack('int4-g32', values, COLUMNS, {})).toBeNull();
});
