import { readFileSync } from 'node:fs';
import { PackedTensor, Random } from '@frugal/tensor-core';
import { packedFormat, packedFormatNames } from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';
import { readFixture } from './safetensors.js';

const fixtures = new URL('../../../oracles/fixtures/', import.meta.url);
const tensors = readFixture(new URL('formats.safetensors', fixtures));
const oracle: { importance: number[]; errors: Record<string, number[]> } = JSON.parse(
  readFileSync(new URL('formats-importance.json', fixtures), 'utf8'),
);

const ROWS = 4;
const COLUMNS = 512;
/** Their 8 bits leave nothing to search for. */
const ONE_WAY = 'q8_0';

const weighing = packedFormatNames().filter((name) => packedFormat(name).weighsColumns);

const normal = (count: number, seed: number) => new Random(seed).normal([count]).toFloat32();

/** Mean Σ importance · (decoded - value)² of each row. */
function rowErrors(
  format: string,
  values: Float32Array,
  importance: Float32Array,
  packed: boolean,
): number[] {
  const { pack, unpack } = packedFormat(format);
  const rows = values.length / COLUMNS;
  const parts = pack(values, rows, COLUMNS, packed ? { importance } : {});
  const back = new Float32Array(values.length);
  unpack(parts, { rows, columns: COLUMNS, rowStart: 0, rowCount: rows }, back);
  const errors = new Array<number>(rows).fill(0);
  values.forEach((value, i) => {
    errors[Math.floor(i / COLUMNS)] += (importance[i % COLUMNS] * (back[i] - value) ** 2) / COLUMNS;
  });
  return errors;
}

const spread = (await normal(COLUMNS, 5)).map((x) => Math.exp(2 * x));
const cases: Record<string, readonly [values: Float32Array, importance: Float32Array]> = {
  random: [await normal(ROWS * COLUMNS, 1), spread],
  // One weight in 40 is thirty times as large: outliers in columns that matter and in some that do not.
  outliers: [(await normal(ROWS * COLUMNS, 2)).map((x, i) => (i % 40 === 7 ? 30 * x : x)), spread],
  // Columns that never saw an activation.
  'dead columns': [await normal(ROWS * COLUMNS, 3), spread.map((x, c) => (c % 3 === 0 || c < 64 ? 0 : x))],
  positive: [(await normal(ROWS * COLUMNS, 4)).map((x) => Math.abs(x) + 2), spread],
};

describe.each(weighing)('%s with an importance', (format) => {
  it.each(Object.entries(cases))(
    'has no larger weighted error than without: %s',
    (_, [values, importance]) => {
      const without = rowErrors(format, values, importance, false);
      const weighted = rowErrors(format, values, importance, true);
      weighted.forEach((error, r) => {
        expect(error).toBeLessThanOrEqual(without[r] * (1 + 1e-5));
      });
      const sum = (errors: number[]) => errors.reduce((a, b) => a + b, 0);
      if (format !== ONE_WAY) expect(sum(weighted)).toBeLessThan(0.97 * sum(without));
    },
  );

  it("has no larger weighted error than ggml's quantiser with it", async () => {
    const values = await (tensors.get('values') ?? expect.fail('no values')).toFloat32();
    const errors = rowErrors(format, values, Float32Array.from(oracle.importance), true);
    errors.forEach((error, r) => {
      expect(error).toBeLessThanOrEqual(oracle.errors[format][r] * 1.000001);
    });
  });
});

it('packs as without when all columns count alike or nothing, and never worse', async () => {
  const values = await normal(COLUMNS, 9);
  for (const format of ['q4_k', 'q6_k', 'iq4_nl']) {
    const plain = packedFormat(format).pack(values, 1, COLUMNS);
    const importance = new Float32Array(COLUMNS);
    if (format !== 'iq4_nl')
      expect(packedFormat(format).pack(values, 1, COLUMNS, { importance })).toEqual(plain);
    const alike = new Float32Array(COLUMNS).fill(3);
    expect(rowErrors(format, values, alike, true)[0]).toBeLessThanOrEqual(
      rowErrors(format, values, alike, false)[0] * (1 + 1e-5),
    );
  }
});

it('refuses an importance that does not fit, is no weight, or has no use', async () => {
  const values = await normal(COLUMNS, 1);
  const pack = (importance: Float32Array, format = 'q4_k') =>
    PackedTensor.pack(format, values, [1, COLUMNS], undefined, { importance });
  expect(() => pack(new Float32Array(3))).toThrow('not one number for each column: got 3; expected 512');
  expect(() => pack(new Float32Array(COLUMNS).fill(-1))).toThrow('column 0 is no weight: got -1');
  expect(() => pack(new Float32Array(COLUMNS).fill(Number.NaN))).toThrow('column 0 is no weight: got NaN');
  expect(() => pack(new Float32Array(COLUMNS), 'int4-g32')).toThrow('weighs all columns alike: got int4-g32');
});
