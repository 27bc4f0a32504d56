import { describe, expect, it } from 'vitest';
import { dispatch, Random, run, scope, type Tensor } from '../index.js';

/** Whole numbers -127..127 along `group`, times their scale. */
function rounded(values: Float32Array, count: number, groupOf: (i: number) => number): number[] {
  const scales = new Float64Array(count);
  for (const [i, value] of values.entries())
    scales[groupOf(i)] = Math.max(scales[groupOf(i)], Math.abs(value) / 127);
  return Array.from(values, (value, i) => Math.round(value / scales[groupOf(i)]) * scales[groupOf(i)]);
}

function product(
  M: number,
  N: number,
  K: number,
  a: (m: number, k: number) => number,
  b: (k: number, n: number) => number,
) {
  return Array.from({ length: M * N }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += a(Math.floor(i / N), k) * b(k, i % N);
    return sum;
  });
}

async function expectClose(tensor: Tensor, expected: readonly number[]): Promise<void> {
  const actual = await tensor.toFloat32();
  const largest = Math.max(...expected.map(Math.abs));
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i] - value)).toBeLessThan(1e-5 * largest);
}

const [M, N, K] = [11, 7, 13];

describe('int8Linear', () => {
  it('rounds both operands along what is summed, but for the gradient of the weight', async () => {
    const random = new Random(5);
    const [x, weight, g] = [
      [M, K],
      [N, K],
      [M, N],
    ].map((shape) => random.normal(shape));
    x.setRequiresGrad(true);
    weight.setRequiresGrad(true);
    const y = scope(() => {
      const out = run('int8Linear', [x, weight], {});
      out.backward(g);
      return out.detach();
    });
    const [xs, ws, gs] = await Promise.all([x, weight, g].map((tensor) => tensor.toFloat32()));
    const row = (columns: number) => (i: number) => Math.floor(i / columns);
    const column = (columns: number) => (i: number) => i % columns;

    const [xRows, wRows] = [rounded(xs, M, row(K)), rounded(ws, N, row(K))];
    await expectClose(
      y,
      product(
        M,
        N,
        K,
        (m, k) => xRows[m * K + k],
        (k, n) => wRows[n * K + k],
      ),
    );
    const [gRows, wColumns] = [rounded(gs, M, row(N)), rounded(ws, K, column(K))];
    await expectClose(
      x.grad as Tensor,
      product(
        M,
        K,
        N,
        (m, n) => gRows[m * N + n],
        (n, k) => wColumns[n * K + k],
      ),
    );
    await expectClose(
      weight.grad as Tensor,
      product(
        N,
        K,
        M,
        (n, m) => gs[m * N + n],
        (m, k) => xs[m * K + k],
      ),
    );
  });
});

describe('linear', () => {
  it('gives the gradient of an f32 weight in f32 from bf16 operands', async () => {
    const random = new Random(6);
    const [x, g] = [
      [M, K],
      [M, N],
    ].map((shape) => random.normal(shape).cast('bf16'));
    const weight = random.normal([N, K]).setRequiresGrad(true);
    scope(() => run('linear', [x, weight, weight.detach().cast('bf16')], { copy: true }).backward(g));
    const gradient = weight.grad as Tensor;
    const [xs, gs] = await Promise.all([x, g].map((tensor) => tensor.toFloat32()));
    expect(gradient.dtype).toBe('f32');
    await expectClose(
      gradient,
      product(
        N,
        K,
        M,
        (n, m) => gs[m * N + n],
        (m, k) => xs[m * K + k],
      ),
    );
  });

  it('keeps NaN visible in whole numbers', async () => {
    const x = new Random(1).normal([3, 4]);
    const bad = x.div(x.sub(x)).sub(x.div(x.sub(x)));
    const [, scales] = dispatch('quantizeInt8', [bad], { axis: 'rows' });
    expect([...(await scales.toFloat32())].every(Number.isNaN)).toBe(true);
  });
});
