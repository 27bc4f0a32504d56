import { expect, it } from 'vitest';
import { arange } from './creation.js';
import { expectNoLeaks } from './memory.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';
import { tensorPieces } from './tensor-pieces.js';

async function collected(...args: Parameters<typeof tensorPieces>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tensorPieces(...args)) pieces.push(piece);
  return pieces;
}

it('gives all bytes once, in another dtype, and takes the handle over', async () => {
  const numbers = (): Tensor => arange(2 ** 22 + 3, { dtype: 'f32' });
  const pieces = await expectNoLeaks(() => collected(numbers(), 'bf16'));
  expect(pieces).toHaveLength(2);
  const whole = scope(() => numbers().cast('bf16'));
  expect(Buffer.concat(pieces).equals(await whole.bytes())).toBe(true);
});

it('gives the elements of a view in its order', async () => {
  const view = arange(6, { dtype: 'f32' }).reshape(2, 3).transpose();
  const expected = Buffer.from(Float32Array.of(0, 3, 1, 4, 2, 5).buffer);
  expect(Buffer.concat(await collected(view)).equals(expected)).toBe(true);
});
