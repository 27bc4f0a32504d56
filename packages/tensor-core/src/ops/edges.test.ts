import { describe, expect, it } from 'vitest';
import { ones, tensor } from '../creation.js';
import type { FloatDType } from '../dtype.js';
import type { Tensor } from '../tensor.js';

async function values(of: Tensor): Promise<number[]> {
  return [...(await of.toFloat32())];
}

/** The gradient of Σ f(x) at x. */
async function slope(f: (x: Tensor) => Tensor, at: number, dtype: FloatDType = 'f32'): Promise<number> {
  const x = tensor(at, { dtype }).setRequiresGrad(true);
  f(x).sum().backward();
  return (await values(x.grad as Tensor))[0];
}

describe('gradients at the edges of their range', () => {
  it('divides by numbers whose square f16 cannot hold', async () => {
    const slopeOfQuotient = await slope((x) => tensor(30000, { dtype: 'f16' }).div(x), 300, 'f16');
    expect(slopeOfQuotient).toBeCloseTo(-1 / 3, 3);
  });

  it('has no slope at 0 for relu and x^0', async () => {
    expect(await slope((x) => x.relu(), 0)).toBe(0);
    expect(await slope((x) => x.relu(), 2)).toBe(1);
    expect(await slope((x) => x.pow(0), 0)).toBe(0);
    expect(await slope((x) => x.pow(2), 3)).toBe(6);
  });
});

describe('values that a small dtype cannot hold on the way', () => {
  it('averages more f16 than their sum can be', async () => {
    expect(await values(ones([70000], { dtype: 'f16' }).mul(3).mean())).toEqual([3]);
  });

  it('uses a number beside bf16 as it is, and rounds the result alone', async () => {
    const x = tensor([9], { dtype: 'bf16' });
    expect(await values(x.mul(1 / 0.9))).toEqual([10]);
    expect(x.mul(1 / 0.9).dtype).toBe('bf16');
    expect(await values(x.less(9.001).cast('f32'))).toEqual([1]);
  });

  it('refuses a number that an integer dtype cannot hold', () => {
    expect(() => tensor(Int8Array.of(1)).add(300)).toThrow(/300 is not a i8 number/);
    expect(() => tensor(Int32Array.of(1)).add(2 ** 31)).toThrow(/not a i32 number/);
  });

  it('refuses ragged rows that add up to a full shape', () => {
    expect(() => tensor([[1, 2], [3, 4, 5], [6]])).toThrow(/rows of nested arrays differ/);
  });
});
