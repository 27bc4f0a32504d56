import { describe, expect, it } from 'vitest';
import { tensor, zeros } from './creation.js';
import { profile } from './debug.js';
import { ArgumentError, DTypeError, LifetimeError, ShapeError } from './errors.js';
import { expectNoLeaks, memoryUsage } from './memory.js';
import { where } from './ops/functions.js';
import { Random } from './random.js';
import { scope } from './scope.js';
import { checkpoint, checkpointAll, customGradient, enableGrad, isRecording, noGrad } from './tape.js';
import type { Tensor } from './tensor.js';

function leaf(...values: number[]): Tensor {
  return tensor(values).setRequiresGrad(true);
}

async function gradient(of: Tensor): Promise<number[]> {
  return [...(await of.grad!.toFloat32())];
}

describe('backward', () => {
  it('adds up over every use of a tensor', async () => {
    const x = leaf(2, 3);
    x.mul(x).add(x.mul(5)).add(x).sum().backward();
    expect(await gradient(x)).toEqual([2 * 2 + 6, 2 * 3 + 6]);
  });

  it('walks a diamond once, in the right order', async () => {
    const x = leaf(0.5);
    const shared = x.mul(3); // used by both sides, at different depths
    const left = shared.exp().log().mul(2);
    const right = shared.mul(shared);
    left.mul(right).add(shared).sum().backward();
    const s = 1.5; // d(2s · s² + s)/dx
    expect((await gradient(x))[0]).toBeCloseTo((6 * s * s + 1) * 3, 4);
  });

  it('adds to the gradients of earlier calls', async () => {
    const x = leaf(1);
    x.mul(2).sum().backward();
    x.mul(3).sum().backward();
    expect(await gradient(x)).toEqual([5]);
  });

  it('takes the gradient of a tensor that is not a scalar', async () => {
    const x = leaf(1, 2);
    x.mul(3).backward(tensor([10, 100]));
    expect(await gradient(x)).toEqual([30, 300]);
  });

  it('of a leaf itself gives it the gradient', async () => {
    const x = leaf(3);
    x.backward();
    expect(await gradient(x)).toEqual([1]);
  });

  it('stops at detach and inside noGrad', async () => {
    const x = leaf(2);
    const y = x.mul(x.detach()).add(noGrad(() => x.mul(100)));
    y.sum().backward();
    expect(await gradient(x)).toEqual([2]);
  });

  it('does not record where nothing requires gradients', () => {
    expect(tensor([1]).mul(2).requiresGrad).toBe(false);
    expect(leaf(1).less(2).requiresGrad).toBe(false);
    expect(noGrad(() => leaf(1).mul(2)).requiresGrad).toBe(false);
    expect(noGrad(() => enableGrad(() => leaf(1).mul(2))).requiresGrad).toBe(true);
    expect(isRecording()).toBe(true);
  });

  it('records again after an error inside noGrad', () => {
    expect(() =>
      noGrad(() => {
        throw new Error('stop');
      }),
    ).toThrow('stop');
    expect(isRecording()).toBe(true);
  });

  it('reduces gradients of broadcast inputs', async () => {
    const row = leaf(1, 2);
    const column = tensor([[3], [4], [5]]).setRequiresGrad(true);
    row.mul(column).sum().backward();
    expect(await gradient(row)).toEqual([12, 12]);
    expect(await gradient(column)).toEqual([3, 3, 3]);
  });

  it('gives 0 to the branch that where() did not choose, also under an infinite gradient', async () => {
    const [a, b] = [leaf(1, 2), leaf(3, 4)];
    const condition = tensor([1, 0], { dtype: 'bool' });
    where(condition, a, b).backward(tensor([Number.POSITIVE_INFINITY, 1]));
    expect(await gradient(a)).toEqual([Number.POSITIVE_INFINITY, 0]);
    expect(await gradient(b)).toEqual([0, 1]);
  });

  it('refuses a tensor without history', () => {
    expect(() => tensor([1]).backward()).toThrow(ArgumentError);
    expect(() => tensor([1]).backward()).toThrow('Check requiresGrad of the parameters');
  });

  it('refuses an output that is not a scalar, and a gradient of another shape', () => {
    expect(() => leaf(1, 2).mul(2).backward()).toThrow(ShapeError);
    expect(() =>
      leaf(1, 2)
        .mul(2)
        .backward(tensor([1])),
    ).toThrow('got [1]; expected [2]');
  });

  it('refuses a second walk over a released graph', async () => {
    await expectNoLeaks(() =>
      scope(() => {
        const x = leaf(1);
        const y = x.exp().sum();
        y.backward();
        x.grad!.dispose();
        expect(() => y.backward()).toThrow(LifetimeError);
        expect(() => y.backward()).toThrow(/\[backward\] the values saved for sum are already released/);
      }),
    );
  });

  it('refuses values that were changed in place after they were saved', () => {
    const x = leaf(1, 2);
    const factor = tensor([3, 4]);
    const walk = () => {
      const y = x.mul(factor).sum();
      factor.assign(tensor([5, 6]));
      y.backward();
    };
    expect(walk).toThrow(LifetimeError);
    expect(walk).toThrow(/a tensor \[2\] that mul needs was changed in place/);
  });

  it('takes values that were changed before they were saved', async () => {
    const x = leaf(1, 2);
    const factor = tensor([3, 4]);
    factor.assign(tensor([5, 6]));
    x.mul(factor).sum().backward();
    expect(await gradient(x)).toEqual([5, 6]);
  });

  it('lets values change that no rule reads', async () => {
    const x = leaf(1, 2);
    const offset = tensor([3, 4]);
    const y = x.add(offset).sum();
    offset.assign(tensor([5, 6]));
    y.backward();
    expect(await gradient(x)).toEqual([1, 1]);
  });

  it('notices changes through another view of the same storage', () => {
    const x = leaf(1, 2);
    const table = zeros([2, 2]);
    const y = x.mul(table.slice(0, 1, 2).reshape(2)).sum();
    table.writeRows(tensor(Int32Array.of(0)), tensor([[1, 1]]));
    expect(() => y.backward()).toThrow('changed in place');
  });

  it('refuses to change a tensor that requires gradients, unless inside noGrad', async () => {
    const x = leaf(1);
    expect(() => x.assign(tensor([2]))).toThrow(LifetimeError);
    noGrad(() => x.assign(tensor([2])));
    expect(await x.item()).toBe(2);
  });

  it('refuses gradients of integers and of results', () => {
    expect(() => tensor(Int32Array.of(1)).setRequiresGrad(true)).toThrow(DTypeError);
    expect(() => leaf(1).mul(2).setRequiresGrad(true)).toThrow('Call detach() first');
  });

  it('leaves nothing behind but the gradients of the leaves', () => {
    const x = leaf(1, 2, 3);
    const before = memoryUsage().storages;
    scope(() => void x.exp().mul(x).softmax().log().sum().backward());
    expect(memoryUsage().storages).toBe(before + 1);
    x.grad!.dispose();
    expect(memoryUsage().storages).toBe(before);
  });

  it('frees a graph that is never walked', () => {
    const x = leaf(1, 2, 3);
    const before = memoryUsage().storages;
    scope(() => void x.exp().mul(x).softmax());
    expect(memoryUsage().storages).toBe(before);
  });

  it('keeps alive what a returned loss needs', async () => {
    const x = leaf(1, 2);
    const loss = scope(() => x.mul(2).exp().sum());
    loss.backward();
    expect((await gradient(x))[1]).toBeCloseTo(2 * Math.exp(4), 3);
  });
});

describe('checkpoint', () => {
  const layer = (x: Tensor, weight: Tensor) => x.mul(weight).tanh().mul(x);

  it('gives the value and the gradients of the plain function', async () => {
    const [x, weight] = [leaf(0.3, -0.8), leaf(1.5, 0.4)];
    layer(x, weight).sum().backward();
    const expected = { x: await gradient(x), weight: await gradient(weight) };
    const [again, sameWeight] = [leaf(0.3, -0.8), leaf(1.5, 0.4)];
    // The weight is a parameter that the function uses, not an input.
    const y = checkpoint((input) => layer(input, sameWeight), again);
    y.sum().backward();
    expect(await gradient(again)).toEqual(expected.x);
    expect(await gradient(sameWeight)).toEqual(expected.weight);
  });

  it('keeps no intermediate values', () => {
    const x = new Random(1).normal([100]).setRequiresGrad(true);
    const deep = (input: Tensor) => Array.from({ length: 10 }).reduce<Tensor>((y) => y.tanh(), input);
    const held = (run: () => Tensor) => {
      const before = memoryUsage().storages;
      const y = scope(run);
      const count = memoryUsage().storages - before;
      y.node?.dispose();
      y.dispose();
      return count;
    };
    expect(held(() => checkpoint(deep, x))).toBe(1);
    expect(held(() => deep(x))).toBe(10);
  });

  const dropout = (x: Tensor, random: Random) => x.mul(random.uniform([x.size]).less(0.5).cast('f32'));

  it('replays random draws', async () => {
    const x = leaf(...new Array(64).fill(1));
    const random = new Random(5);
    const y = checkpoint((input) => dropout(input, random), x);
    const mask = await y.toFloat32();
    y.sum().backward();
    expect(await gradient(x)).toEqual([...mask]);
    expect(new Set(mask).size).toBe(2);
  });

  it('replays random draws of checkpoints inside checkpoints', async () => {
    const random = new Random(5);
    const x = leaf(...new Array(64).fill(1));
    const inner = (input: Tensor) => checkpoint((y) => dropout(y, random), dropout(input, random));
    const y = checkpoint((input) => dropout(inner(input), random), x);
    const after = random.state();
    const mask = await y.toFloat32();
    y.sum().backward();
    expect(await gradient(x)).toEqual([...mask]);
    expect(new Set(mask).size).toBe(2);
    expect(random.state()).toEqual(after);
  });

  it('keeps the results of products within a limit, those of most work per byte first', async () => {
    const [x, narrow, wide] = [
      [8, 64],
      [64, 32],
      [32, 16],
    ].map((shape) => new Random(1).normal(shape).setRequiresGrad(true));
    const layers = (input: Tensor) => [input.matmul(narrow).tanh().matmul(wide)]; // 64 and 32 multiply-adds per element
    const gradients = async (keepBytes?: number) => {
      const run = () => {
        const [y] = keepBytes === undefined ? layers(x) : checkpointAll(layers, [x], { keepBytes });
        y.sum().backward();
      };
      const { ops } = await profile(() => scope(run));
      const products = ops.find(({ op }) => op === 'matmul')?.calls;
      const values = await Promise.all([x, narrow, wide].map(gradient));
      for (const each of [x, narrow, wide]) each.grad = null;
      return { products, values };
    };
    const plain = await gradients(); // two forward, four backward
    const [first, second] = [4 * 8 * 32, 4 * 8 * 16];
    expect(await gradients(0)).toEqual({ ...plain, products: 8 });
    expect(await gradients(second)).toEqual({ ...plain, products: 7 });
    expect(await gradients(first)).toEqual({ ...plain, products: 7 });
    expect(await gradients(first + second)).toEqual({ ...plain, products: 6 });
    const held = memoryUsage().storages;
    scope(() => checkpointAll(layers, [x], { keepBytes: first })[0].sum().backward());
    for (const each of [x, narrow, wide]) each.grad?.dispose();
    expect(memoryUsage().storages).toBe(held);
  });

  it('refuses a function whose products differ when it is computed again', () => {
    const [x, weight] = [new Random(1).normal([2, 2]), new Random(2).normal([2, 2]).setRequiresGrad(true)];
    const moody = (input: Tensor) => [isRecording() ? input.matmul(weight).sum() : input.sum()];
    expect(() => checkpointAll(moody, [x], { keepBytes: 100 })[0].backward()).toThrow(/same ops/);
  });

  it('takes a function that returns its input', async () => {
    const x = leaf(1, 2);
    checkpoint((input) => input, x)
      .mul(3)
      .sum()
      .backward();
    expect(await gradient(x)).toEqual([3, 3]);
  });

  it('passes over functions without trainable parts', async () => {
    const x = tensor([1, 2]);
    const weight = leaf(3, 4);
    checkpoint((input) => input.exp(), x)
      .mul(weight)
      .sum()
      .backward();
    expect((await gradient(weight))[0]).toBeCloseTo(Math.E, 5);
  });

  it('is the plain function inside noGrad', () => {
    expect(noGrad(() => checkpoint((x) => x.mul(2), leaf(1))).requiresGrad).toBe(false);
  });
});

describe('customGradient', () => {
  it('uses the given rule', async () => {
    const x = leaf(1.4, -2.6);
    const rounded = noGrad(() => x.floor());
    // Straight through: the gradient passes as if nothing had been rounded.
    customGradient('floorStraightThrough', [x], [], [rounded], ({ gradient }) => [gradient(0)]);
    rounded.mul(rounded).sum().backward();
    expect(await gradient(x)).toEqual([2, -6]);
  });

  it('hands over saved tensors and watches them for changes', () => {
    const x = leaf(2);
    const saved = tensor([7]);
    const y = noGrad(() => x.mul(1));
    customGradient('timesSaved', [x], [saved], [y], ({ gradient }, [value]) => [gradient(0).mul(value)]);
    saved.assign(tensor([8]));
    expect(() => y.sum().backward()).toThrow('that timesSaved needs was changed in place');
  });

  it('does nothing when no input requires gradients', () => {
    const y = tensor([1]);
    customGradient('nothing', [tensor([1])], [], [y], () => []);
    expect(y.requiresGrad).toBe(false);
  });
});
