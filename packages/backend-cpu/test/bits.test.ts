import { createHash } from 'node:crypto';
import { cpuBackend } from '@frugal/backend-cpu';
import {
  attention,
  type Backend,
  crossEntropy,
  integerMatmul,
  klDivergence,
  PackedTensor,
  Random,
  rmsNorm,
  rope,
  run,
  scope,
  sumOfSquares,
  swiglu,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

const C = 72;
const V = 300;

/** A step of everything a decoder runs, forward and backward, over packed sequences of these lengths. */
function decoderStep(backend: Backend, lengths: readonly number[], dtype: 'f32' | 'bf16'): Tensor[] {
  const random = new Random(3);
  const N = lengths.reduce((sum, length) => sum + length, 0);
  const draw = (...shape: number[]) => random.normal(shape, { backend }).cast(dtype).setRequiresGrad(true);
  const weights = [draw(C, C), draw(C, C), draw(C, 3 * C), draw(C, 3 * C), draw(3 * C, C), draw(C, V)];
  const norm = draw(C);
  const ids = tensor(
    Int32Array.from({ length: N }, (_, i) => (i * 37) % V),
    { backend },
  );
  const table = draw(V, C);
  const starts = tensor(
    Int32Array.from([0, ...lengths].map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0))),
    { backend },
  );
  const angles = random.uniform([N, 6], { backend });
  const x = table.gatherRows(ids);
  const [q, k] = weights
    .slice(0, 2)
    .map((w) => rope(rmsNorm(x, norm, 1e-5).matmul(w).reshape(N, 6, 12), angles.cos(), angles.sin()));
  const mixed = x.add(attention(q, k, k, starts, { scale: 0.3, causal: true }).reshape(N, C));
  const y = mixed.add(swiglu(mixed.matmul(weights[2]), mixed.matmul(weights[3])).matmul(weights[4]));
  const logits = y.matmul(weights[5]);
  const loss = crossEntropy(logits, ids)
    .sum()
    .add(klDivergence(logits, logits.mul(0.5).detach()).sum());
  loss.backward();
  const gradients = [...weights, norm, table].map((w) => w.grad!);
  return [
    loss,
    logits,
    ...gradients,
    sumOfSquares(gradients[0]),
    logits.softmax(),
    logits.max(0),
    logits.sum(1),
  ];
}

/** One hash per tensor: bits are equal or not, and the runner need not compare arrays number by number. */
async function bitsOf(make: () => readonly Tensor[]): Promise<string[]> {
  const tensors = scope(make);
  const bytes = await Promise.all(tensors.map((each) => each.bytes()));
  for (const each of tensors) each.dispose();
  return bytes.map((each) => createHash('sha256').update(each).digest('hex'));
}

for (const isa of testedIsas) {
  describe(isa, () => {
    it.each(['f32', 'bf16'] as const)('gives the same bits with 1, 2 and 3 threads (%s)', async (dtype) => {
      const step = (threads: number) =>
        bitsOf(() => decoderStep(cpuBackend({ isa, threads, minimumWork: 0 }), [40, 1, 90, 33], dtype));
      const alone = await step(1);
      expect(await step(2)).toEqual(alone);
      expect(await step(3)).toEqual(alone);
    });

    it.each(['f32', 'bf16', 'f16'] as const)('multiplies a row alone as among others (%s)', async (dtype) => {
      const backend = cpuBackend({ isa, minimumWork: 0 });
      const [all, single] = await bitsOf(() => {
        const random = new Random(8);
        const x = random.normal([130, 533], { backend }).cast(dtype);
        const w = random.normal([97, 533], { backend }).cast(dtype).transpose();
        return [x.matmul(w).slice(0, 77, 78), x.slice(0, 77, 78).matmul(w)];
      });
      expect(single).toEqual(all);
    });

    it('multiplies integers exactly, with any threads and layout', async () => {
      const products = [1, 2, 3].flatMap((threads) => {
        const backend = cpuBackend({ isa, threads, minimumWork: 0 });
        const random = new Random(10);
        const draw = (...shape: number[]) =>
          random.uniform(shape, { backend }).mul(255.99).sub(128).floor().cast('i8');
        return scope(() => {
          const [a, b] = [draw(130, 1533), draw(97, 1533)];
          const flipped = (x: Tensor) => run('copy', [x.transpose()], {}).transpose();
          const exact = integerMatmul(a, b);
          return [
            exact,
            integerMatmul(flipped(a), b),
            integerMatmul(a, flipped(b)),
            integerMatmul(a.slice(0, 77, 78), b),
          ];
        });
      });
      const bytes = await Promise.all(products.map((each) => each.bytes()));
      for (const each of products) each.dispose();
      const row = bytes[0].slice(77 * 97 * 4, 78 * 97 * 4);
      for (const [i, each] of bytes.entries()) {
        expect(Buffer.from(each).equals(i % 4 === 3 ? row : bytes[0]), `product ${i}`).toBe(true);
      }
    });

    it.each(['none', 'int8'] as const)(
      'multiplies packed weights by a row alone as among others (%s)',
      async (activation) => {
        const backend = cpuBackend({ isa, minimumWork: 0 });
        const [all, single] = await bitsOf(() => {
          const random = new Random(9);
          const x = random.normal([130, 533], { backend });
          const codes = random.uniform([97, 533], { backend }).mul(254).sub(127).cast('i8');
          const weight = new PackedTensor(
            'int8-channel',
            [97, 533],
            [codes, random.uniform([97], { backend })],
          );
          return [
            weight.matmul(x, activation).slice(0, 77, 78),
            weight.matmul(x.slice(0, 77, 78), activation),
          ];
        });
        expect(single).toEqual(all);
      },
    );

    it.each(['none', 'int8-block32'] as const)(
      'multiplies weights in its own layout by few rows as by hundreds, with any number of threads (%s)',
      async (activation) => {
        const values = Float32Array.from({ length: 80 * 96 }, (_, i) => Math.sin(i * i));
        const products = [1, 3].flatMap((threads) => {
          const backend = cpuBackend({ isa, threads, minimumWork: 0 });
          const x = new Random(9).normal([530, 96], { backend });
          const weight = PackedTensor.pack('q4_1', values, [80, 96], backend).prepare();
          return [weight.matmul(x, activation), weight.matmul(x.slice(0, 253, 260), activation)];
        });
        const [all, few, ...others] = await Promise.all(products.map((each) => each.toFloat32()));
        expect(few).toEqual(all.slice(253 * 80, 260 * 80));
        expect(others).toEqual([all, few]);
        for (const each of products) each.dispose();
      },
    );

    it('attends to a sequence alone as among others', async () => {
      const backend = cpuBackend({ isa, minimumWork: 0 });
      const [all, single] = await bitsOf(() => {
        const random = new Random(4);
        const [q, k, v] = [4, 2, 2].map((heads) => random.normal([100, heads, 20], { backend }));
        const starts = (...rows: number[]) => tensor(Int32Array.from(rows), { backend });
        const attributes = { scale: 0.2, causal: true };
        const part = (x: Tensor) => x.slice(0, 31, 88);
        return [
          part(attention(q, k, v, starts(0, 31, 88, 100), attributes)),
          attention(part(q), part(k), part(v), starts(0, 57), attributes),
        ];
      });
      expect(single).toEqual(all);
    });

    it.each(['softmax', 'logSoftmax'] as const)('takes %s of a row alone as among others', async (op) => {
      const backend = cpuBackend({ isa, minimumWork: 0 });
      const [all, single] = await bitsOf(() => {
        const x = new Random(5).normal([9, 5001], { backend });
        return [run(op, [x], {}).slice(0, 4, 5), run(op, [x.slice(0, 4, 5)], {})];
      });
      expect(single).toEqual(all);
    });
  });
}
