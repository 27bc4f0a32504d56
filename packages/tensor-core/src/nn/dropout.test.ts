import { describe, expect, it } from 'vitest';
import { checkpoint, noGrad, ones, Random, type Tensor } from '../index.js';
import { Dropout } from './dropout.js';

async function gradientOf(x: Tensor): Promise<number[]> {
  return [...(await (x.grad as Tensor).toFloat32())];
}

describe('Dropout', () => {
  it('drops while training and not inside noGrad', async () => {
    const dropout = new Dropout(0.25, new Random(1));
    const kept = [...(await dropout.forward(ones([4000])).toFloat32())];
    const share = kept.filter((value) => value > 0).length / kept.length;
    expect(Math.abs(share - 0.75)).toBeLessThan(0.03);
    expect(new Set(kept)).toEqual(new Set([0, Math.fround(4 / 3)]));
    expect(noGrad(() => dropout.forward(ones([4]))).shape).toEqual([4]);
    expect([...(await noGrad(() => dropout.forward(ones([4]))).toFloat32())]).toEqual([1, 1, 1, 1]);
  });

  it('drops the same in the forward pass of a checkpoint and in its gradients', async () => {
    const dropout = new Dropout(0.5, new Random(3));
    const x = ones([64]).setRequiresGrad(true);
    const y = checkpoint((input) => dropout.forward(input), x);
    const values = [...(await y.toFloat32())];
    expect(new Set(values)).toEqual(new Set([0, 2]));
    y.sum().backward();
    expect(await gradientOf(x)).toEqual(values);
  });

  it('keeps the scale exact in bf16', async () => {
    const dropout = new Dropout(0.1, new Random(3));
    const kept = (await dropout.forward(ones([64], { dtype: 'bf16' }).mul(9)).toFloat32()).filter(
      (v) => v > 0,
    );
    expect(new Set(kept)).toEqual(new Set([10]));
  });
});
