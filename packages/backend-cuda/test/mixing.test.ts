import { Random, referenceBackend, type Tensor } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { needsTensorFlow, openBackend } from './tensorflow.js';

needsTensorFlow();

const host = referenceBackend();

async function expectClose(actual: Tensor, expected: Tensor): Promise<void> {
  const [got, wanted] = [await actual.toFloat32(), await expected.toFloat32()];
  expect(got).toHaveLength(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i] - value)).toBeLessThan(1e-4);
}

it('layers on two backends work on one activation', async () => {
  const device = openBackend();
  const layer = (seed: number) => new Random(seed).normal([16, 16], { backend: host });
  const [x, first, second, third] = [layer(1), layer(2), layer(3), layer(4)];
  const expected = x.matmul(first).silu().matmul(second).silu().matmul(third).softmax();
  const onHost = x.matmul(first).silu();
  const onDevice = (await onHost.to(device)).matmul(await second.to(device)).silu();
  await expectClose((await onDevice.to(host)).matmul(third).softmax(), expected);
  expect(() => onHost.add(onDevice)).toThrow(/inputs live on different backends: got reference, cuda/);
});
