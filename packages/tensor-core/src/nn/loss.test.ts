import { expect, it } from 'vitest';
import { expectNoLeaks, noGrad, Random, scope, type Tensor, tensor } from '../index.js';
import { Linear } from './linear.js';
import { nextTokenLoss } from './loss.js';

const ROWS = 7;
const random = new Random(4);
const values = random.normal([ROWS, 5]);
const head = Linear.init(5, 11, { random });
const targets = tensor(Int32Array.of(1, 2, -100, 4, 10, 0, 3));
const weights = tensor(Float32Array.of(1, 0.5, 3, 1, 1, 0, 2));

/** Loss and gradients with logits in one piece or in pieces of `bytes`. */
async function results(loss: (hidden: Tensor, maximumLogitBytes: number) => Tensor, bytes: number) {
  const hidden = values.copy().setRequiresGrad(true);
  const total = loss(hidden, bytes);
  total.backward();
  const parts = [total, hidden.grad, head.weight.gradient].map((t) => (t as Tensor).toFloat32());
  const read = await Promise.all(parts);
  head.weight.clearGradient();
  return read;
}

function expectClose(a: Float32Array, b: Float32Array): void {
  expect(a.length).toBe(b.length);
  for (const [i, x] of a.entries()) expect(Math.abs(x - b[i])).toBeLessThan(1e-5);
}

it('gives the same in pieces as in one', async () => {
  const loss = (hidden: Tensor, maximumLogitBytes: number) =>
    nextTokenLoss(hidden, head, targets, weights, { maximumLogitBytes });
  const whole = await results(loss, 1e9);
  for (const bytes of [1, 2 * 11 * 4, 3 * 11 * 4]) {
    const pieces = await results(loss, bytes);
    for (const [i, piece] of pieces.entries()) expectClose(piece, whole[i]);
  }
});

it('passes on the gradient that it is given, also to a frozen head and in bf16', async () => {
  const small = { maximumLogitBytes: 2 * 11 * 4 };
  head.weight.trainable = false;
  for (const dtype of ['f32', 'bf16'] as const) {
    const grads: Float32Array[] = [];
    for (const options of [small, undefined]) {
      const hidden = values.cast(dtype).copy().setRequiresGrad(true);
      nextTokenLoss(hidden, head, targets, weights, options).mul(3).backward();
      grads.push(await (hidden.grad as Tensor).toFloat32());
    }
    expect(head.weight.gradient).toBe(null);
    for (const [i, value] of grads[0].entries())
      expect(Math.abs(value - grads[1][i])).toBeLessThan(dtype === 'f32' ? 1e-5 : 0.05);
  }
  head.weight.trainable = true;
});

it('leaves nothing behind when it streams', async () => {
  const hidden = values.copy().setRequiresGrad(true);
  await expectNoLeaks(() => {
    scope(() => void nextTokenLoss(hidden, head, targets, weights, { maximumLogitBytes: 1 }));
    noGrad(() => scope(() => void nextTokenLoss(hidden, head, targets, weights, { maximumLogitBytes: 1 })));
  });
  expect(hidden.grad).toBe(null);
});

it('refuses targets and weights of another number of rows', () => {
  const more = tensor(new Int32Array(ROWS + 1));
  expect(() => nextTokenLoss(values, head, more)).toThrow(/targets and hidden states differ in rows/);
  expect(() => nextTokenLoss(values, head, targets, weights.slice(0, 0, 3))).toThrow(/weights/);
});
