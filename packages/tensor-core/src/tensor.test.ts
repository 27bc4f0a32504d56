import { describe, expect, it } from 'vitest';
import { arange, fromBytes, ones, tensor, zeros } from './creation.js';
import type { Tensor } from './tensor.js';

async function values(of: Tensor): Promise<number[]> {
  return [...(await of.toFloat32())];
}

describe('creation', () => {
  it('takes nested arrays, numbers and typed arrays', async () => {
    expect(
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]).shape,
    ).toEqual([2, 3]);
    expect(tensor(7).shape).toEqual([]);
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor(Int32Array.of(1, 2)).dtype).toBe('i32');
    expect(tensor(Int8Array.of(1)).dtype).toBe('i8');
    expect(tensor(Uint8Array.of(1)).dtype).toBe('u8');
    expect(await values(tensor(Float32Array.of(1, 2, 3, 4), { shape: [2, 2] }))).toEqual([1, 2, 3, 4]);
  });

  it('rounds to the dtype', async () => {
    expect(await values(tensor([0.1, 1 / 3], { dtype: 'bf16' }))).toEqual([0.10009765625, 0.333984375]);
    expect(await values(tensor([0.1, 70000], { dtype: 'f16' }))).toEqual([
      0.0999755859375,
      Number.POSITIVE_INFINITY,
    ]);
    expect(await values(tensor([0, 0.5, -3], { dtype: 'bool' }))).toEqual([0, 1, 1]);
  });

  it('makes ranges and constants', async () => {
    expect([...(await arange(4, { start: 5, step: -2 }).toInt32())]).toEqual([5, 3, 1, -1]);
    expect(await values(ones([2]).add(zeros([2])))).toEqual([1, 1]);
  });

  it('copies bytes', async () => {
    const bytes = new Uint8Array(Float32Array.of(1, 2).buffer);
    const made = fromBytes(bytes, { shape: [2], dtype: 'f32' });
    bytes.fill(0);
    expect(await values(made)).toEqual([1, 2]);
    // A Buffer's slice() would share memory.
    const buffer = Buffer.from(Float32Array.of(3).buffer);
    const other = fromBytes(buffer, { shape: [1], dtype: 'f32' });
    buffer.fill(0);
    expect(await values(other)).toEqual([3]);
  });
});

describe('views', () => {
  const numbered = () =>
    tensor(
      Float32Array.from({ length: 24 }, (_, i) => i),
      { shape: [2, 3, 4] },
    );

  it('share the storage', () => {
    const x = numbered();
    for (const view of [
      x.reshape(6, -1),
      x.transpose(),
      x.slice(1, 1, 2),
      x.slice(0, 0, 1).expand(5, 3, 4),
    ]) {
      expect(view.storage).toBe(x.storage);
    }
  });

  it('compose', async () => {
    const view = numbered().permute(2, 0, 1).slice(0, 1, 3).transpose().slice(2, 0, 1); // [2, 3, 1]
    expect(view.shape).toEqual([2, 3, 1]);
    expect(await values(view)).toEqual(await naive(view));
    expect(await values(numbered().transpose(0, 2).slice(1, 2, 3).reshape(-1))).toEqual([
      8, 20, 9, 21, 10, 22, 11, 23,
    ]);
  });

  it('reshape copies only where it must', () => {
    const x = numbered();
    expect(x.slice(0, 1, 2).reshape(12).storage).toBe(x.storage);
    expect(x.transpose().reshape(-1).storage).not.toBe(x.storage);
  });

  it('see later changes of the storage, for they are the same memory', async () => {
    const x = zeros([2, 2]);
    const row = x.slice(0, 1, 2);
    x.assign(
      tensor([
        [1, 2],
        [3, 4],
      ]),
    );
    expect(await values(row)).toEqual([3, 4]);
  });

  it('can be written to where they are contiguous', async () => {
    const x = zeros([3, 2]);
    x.slice(0, 1, 2).assign(tensor([[5, 6]]));
    x.writeRows(tensor(Int32Array.of(2)), tensor([[7, 8]]));
    expect(await values(x)).toEqual([0, 0, 5, 6, 7, 8]);
  });

  it('stack to any rank', async () => {
    expect(await values(tensor(3).reshape(1, 1, 1).expand(2, 1, 2))).toEqual([3, 3, 3, 3]);
    expect(await values(numbered().slice(2, 4, 4))).toEqual([]);
  });
});

/** Element by element, from the definition of strides. */
async function naive(view: Tensor): Promise<number[]> {
  const whole = await view.viewAs([24], [1], 0).toFloat32();
  const out: number[] = [];
  for (let i = 0; i < view.shape[0]; i++) {
    for (let j = 0; j < view.shape[1]; j++) {
      for (let k = 0; k < view.shape[2]; k++) {
        out.push(whole[view.offset + i * view.strides[0] + j * view.strides[1] + k * view.strides[2]]);
      }
    }
  }
  return out;
}

describe('reading', () => {
  it('gives copies', async () => {
    const x = tensor([1, 2]);
    (await x.toFloat32()).fill(9);
    expect(await values(x)).toEqual([1, 2]);
  });

  it('item wants one element, toInt32 integers', async () => {
    expect(await tensor([[4]]).item()).toBe(4);
    await expect(tensor([1, 2]).item()).rejects.toThrow(
      '[item] more than one element: got [2]; expected one element.',
    );
    await expect(tensor([1]).toInt32()).rejects.toThrow('[toInt32] not an i32 tensor: got f32.');
  });
});

describe('scalars', () => {
  it('take the dtype of the tensor', async () => {
    expect(tensor([1], { dtype: 'bf16' }).mul(2.5).dtype).toBe('bf16');
    expect(await values(tensor(Int32Array.of(5)).mul(3).sub(1))).toEqual([14]);
    expect(await values(tensor([1, 2, 3]).lessEqual(2).logicalNot())).toEqual([0, 0, 1]);
  });
});
