import { PackedTensor, Random, referenceBackend, type Tensor } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { needsTensorFlow, openBackend } from './tensorflow.js';

needsTensorFlow();

const host = referenceBackend();

async function expectClose(actual: Tensor, expected: Tensor): Promise<void> {
  const [got, wanted] = [await actual.toFloat32(), await expected.toFloat32()];
  expect(got).toHaveLength(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i] - value)).toBeLessThan(1e-4);
}

it.each(['int8-channel', 'int4-g32-zero', 'q4_k', 'fp8-block128', 'nf4'])(
  'a weight packed as %s moves there and back',
  async (format) => {
    const device = openBackend();
    const values = await new Random(1).normal([48, 256], { backend: host }).toFloat32();
    const packed = PackedTensor.pack(format, values, [48, 256], host);
    const moved = await packed.to(device);
    const x = new Random(2).normal([3, 256], { backend: host });
    const there = await x.to(device);
    await expectClose(moved.matmul(there), packed.matmul(x));
    const back = await moved.to(host);
    for (const [i, part] of back.parts.entries())
      expect((await part.bytes()).join()).toBe((await packed.parts[i].bytes()).join());
  },
);

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
