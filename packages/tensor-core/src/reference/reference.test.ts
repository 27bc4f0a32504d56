import { describe, expect, it } from 'vitest';
import { tensor, where, zeros } from '../index.js';
import { errorFunction } from './error-function.js';

const values = async (of: { toFloat32(): Promise<Float32Array> }) => [...(await of.toFloat32())];
const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

// What the conformance suite takes from the reference backend has to be right by itself here.
describe('errorFunction', () => {
  it.each([
    [0, 0],
    [1e-10, 1.1283791670955126e-10],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [2.4999, 0.9995928300996666],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [5, 0.9999999999984626],
    [7, 1],
  ])('erf(%d) = %d', (x, expected) => {
    expect(Math.abs(errorFunction(x) - expected)).toBeLessThan(2e-15);
    expect(errorFunction(-x)).toBeCloseTo(-expected, 14);
  });

  it('keeps NaN and ends at ±1', () => {
    expect(errorFunction(nan)).toBeNaN();
    expect(errorFunction(infinity)).toBe(1);
    expect(errorFunction(-infinity)).toBe(-1);
  });
});

describe('cast', () => {
  const wild = tensor([2.7, -2.7, 300, -300, 3e9, -3e9, infinity, -infinity, nan, 0.4]);

  it('truncates and clamps to integers, NaN to 0', async () => {
    expect([...(await wild.cast('i32').toInt32())]).toEqual([
      ...[2, -2, 300, -300, 2147483647, -2147483648, 2147483647, -2147483648, 0, 0],
    ]);
    expect(await values(wild.cast('i8'))).toEqual([2, -2, 127, -128, 127, -128, 127, -128, 0, 0]);
    expect(await values(wild.cast('u8'))).toEqual([2, 0, 255, 0, 255, 0, 255, 0, 0, 0]);
  });

  it('makes everything but 0 true', async () => {
    expect(await values(tensor([0, -0, 1e-40, nan, -1]).cast('bool'))).toEqual([0, 0, 1, 1, 1]);
  });
});

describe('arithmetic', () => {
  it('wraps integers', async () => {
    const big = tensor(Int32Array.of(2147483647, -2147483648, 65537));
    expect([...(await big.add(1).toInt32())]).toEqual([-2147483648, -2147483647, 65538]);
    expect([...(await big.mul(big).toInt32())]).toEqual([1, 0, 131073]);
    expect(await values(tensor(Int8Array.of(127, -128)).sub(tensor(Int8Array.of(-1, 1))))).toEqual([
      -128, 127,
    ]);
  });

  it('takes powers by IEEE rules', async () => {
    const [x, y] = [tensor([1, 1, -1, 0, nan, -2, -8]), tensor([nan, infinity, infinity, 0, 0, 3, 1 / 3])];
    expect(await values(x.pow(y))).toEqual([1, 1, 1, 1, 1, -8, nan]);
  });

  it('lets NaN through maximum, minimum and max', async () => {
    const [x, y] = [tensor([nan, 1, 2]), tensor([0, nan, 3])];
    expect(await values(x.maximum(y))).toEqual([nan, nan, 3]);
    expect(await values(x.minimum(y))).toEqual([nan, nan, 2]);
    expect(await values(x.max())).toEqual([nan]);
    expect([...(await x.argMax().toInt32())]).toEqual([0]);
  });

  it('rounds once', async () => {
    // In f32 alone the ones would be lost: 2^24 + 1 = 2^24.
    const ones = Array.from({ length: 9 }, (_, i) => (i === 0 ? 2 ** 24 : 1));
    expect(await values(tensor(ones).sum())).toEqual([2 ** 24 + 8]);
    expect(await values(tensor([ones]).matmul(zeros([9, 1]).add(1)))).toEqual([2 ** 24 + 8]);
  });

  it('chooses without arithmetic', async () => {
    const condition = tensor([1, 0], { dtype: 'bool' });
    expect(await values(where(condition, tensor([1, nan]), tensor([infinity, 2])))).toEqual([1, 2]);
  });
});
