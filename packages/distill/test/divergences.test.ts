import { expectNoLeaks, Random, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import {
  divergenceLoss,
  forwardKL,
  hiddenLoss,
  jensenShannon,
  logsAt,
  reverseKL,
  skewKL,
  skewReverseKL,
  topLogs,
} from '../src/index.js';
import { distance, Same } from './fixture.js';

describe('divergences', () => {
  const random = new Random(3);
  const [width, vocabulary] = [6, 40];
  const hidden = random.normal([9, width]);
  const head = Linear.init(width, vocabulary, { random });
  const teacher = { hidden: random.normal([9, width]), head: Linear.init(width, vocabulary, { random }) };
  const all = [forwardKL, reverseKL, jensenShannon(0.3), skewKL(0.2), skewReverseKL(0.2)];

  it.each(all)('$name streams: pieces give what the whole gives', async (divergence) => {
    const gradients: Float32Array[] = [];
    for (const maximumLogitBytes of [1e9, 2 * vocabulary * 4]) {
      const student = hidden.copy().setRequiresGrad(true);
      divergenceLoss(student, head, teacher, { divergence, topK: 5, maximumLogitBytes }).backward();
      gradients.push(await (student.grad as Tensor).toFloat32());
      head.weight.clearGradient();
    }
    expect(distance(gradients[1], gradients[0])).toBeLessThan(1e-5);
  });

  it.each(all)(
    '$name is nothing between equals, and positive otherwise, even nearly equal',
    async (divergence) => {
      const student = hidden.copy().setRequiresGrad(true);
      const same = divergenceLoss(student, head, { hidden, head }, { divergence });
      same.backward();
      expect(Math.abs(await same.item())).toBeLessThan(1e-6);
      expect(Math.max(...(await (student.grad as Tensor).toFloat32()).map(Math.abs))).toBeLessThan(1e-6);
      const near = { hidden: hidden.add(random.normal([9, width]).mul(1e-3)), head };
      expect(await divergenceLoss(hidden, head, near, { divergence }).item()).toBeGreaterThan(0);
      head.weight.clearGradient();
    },
  );

  it.each(all)(
    '$name stays finite where one side is certain and the other excludes it',
    async (divergence) => {
      const logits = tensor([[300, 0, -300]]).setRequiresGrad(true);
      const other = { hidden: tensor([[-300, 0, 300]]), head: new Same(3) };
      const loss = divergenceLoss(logits, new Same(3), other, { divergence });
      loss.backward();
      expect(Number.isFinite(await loss.item())).toBe(true);
      expect([...(await (logits.grad as Tensor).toFloat32())].every(Number.isFinite)).toBe(true);
    },
  );

  it('leave nothing behind', async () => {
    const student = hidden.copy().setRequiresGrad(true);
    await expectNoLeaks(() => {
      for (const divergence of all)
        scope(() => void divergenceLoss(student, head, teacher, { divergence, maximumLogitBytes: 400 }));
    });
  });

  it('leave out ids that only one side has', async () => {
    const wide = { hidden: random.normal([2, 12]), head: new Same(12) };
    const narrow = { hidden: wide.hidden.slice(1, 0, 10), head: new Same(10) };
    const logits = random.normal([2, 10]);
    const padded = divergenceLoss(logits, new Same(10), wide, { vocabulary: 10 });
    expect(await padded.item()).toBeCloseTo(await divergenceLoss(logits, new Same(10), narrow).item(), 6);
  });

  it('refuse what has no meaning', () => {
    expect(() => jensenShannon(1)).toThrow(/beta out of range: got 1.*forward or the reverse/);
    expect(() => skewKL(0)).toThrow(/skew out of range/);
    expect(() => divergenceLoss(hidden, head, teacher, { topK: 41 })).toThrow(/topK.*1 to 40/);
    const longer = { hidden: random.normal([10, width]), head };
    expect(() => divergenceLoss(hidden, head, longer)).toThrow(/teacher and hidden states differ in rows/);
    expect(() => hiddenLoss(hidden, random.normal([9, 7]))).toThrow(
      /differ in shape: got \[9,6\] and \[9,7\]/,
    );
  });

  it('top-k logs sum to one, whatever is left over', async () => {
    const logits = tensor([[0, 20, 1, 40]]);
    const { indices, logs } = topLogs(logits, 2);
    expect([...(await indices.toInt32())]).toEqual([3, 1]);
    const values = await logsAt(logits, indices).toFloat32();
    expect([...values]).toEqual([...(await logs.toFloat32())]);
    const tail = Math.log((1 + Math.E) / (Math.exp(40) + Math.exp(20) + 1 + Math.E));
    expect(values[2]).toBeCloseTo(tail, 4);
  });
});
