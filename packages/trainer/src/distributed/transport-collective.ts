import {
  bytesPerElement,
  type Collective,
  fromBytes,
  keep,
  noGrad,
  scope,
  type Tensor,
} from '@frugal/tensor-core';
import { TrainerError } from '../errors.js';
import type { Transport } from './transport.js';

/** Collective operations over anything that moves bytes. Tensors come back on the backend of those that were given. */
export class TransportCollective implements Collective {
  private bytes = 0;

  constructor(private readonly transport: Transport) {}

  get rank(): number {
    return this.transport.rank;
  }
  get size(): number {
    return this.transport.size;
  }
  get received(): number {
    return this.bytes;
  }

  async allReduce(values: readonly Tensor[]): Promise<Tensor[]> {
    const stacked = await this.allGather(values);
    const sums = noGrad(() =>
      scope(() =>
        stacked.map((all) => {
          let sum = all.slice(0, 0, 1);
          for (let rank = 1; rank < this.size; rank++) sum = sum.add(all.slice(0, rank, rank + 1));
          return keep(sum.reshape(...all.shape.slice(1)).copy());
        }),
      ),
    );
    for (const all of stacked) all.dispose();
    return sums;
  }

  async broadcast(values: readonly Tensor[], root: number): Promise<Tensor[]> {
    const length = values.reduce((sum, value) => sum + byteLength(value), 0);
    const own = this.rank === root ? await joined(values) : null;
    const bytes = await this.transport.broadcast(own, length, root);
    if (this.rank !== root) this.bytes += length;
    return parted(bytes, values);
  }

  async allGather(values: readonly Tensor[]): Promise<Tensor[]> {
    const own = await joined(values);
    const all = await this.exchange(Array.from({ length: this.size }, () => own));
    for (const { byteLength: got } of all) this.requireLength(got, own.byteLength);
    let start = 0;
    return values.map((value) => {
      const length = byteLength(value);
      const stacked = concatBytes(all.map((bytes) => bytes.subarray(start, start + length)));
      start += length;
      return tensorOf(stacked, value, [this.size, ...value.shape]);
    });
  }

  async allToAll(values: readonly Tensor[]): Promise<Tensor[]> {
    const parts = await Promise.all(values.map((value) => value.bytes()));
    const [like] = values;
    return (await this.exchange(parts)).map((bytes) =>
      tensorOf(bytes, like, [bytes.byteLength / bytesPerElement(like.dtype)]),
    );
  }

  async barrier(): Promise<void> {
    await this.exchange(Array.from({ length: this.size }, () => new Uint8Array(0)));
  }

  private async exchange(parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const got = await this.transport.exchange(parts);
    got.forEach((bytes, rank) => {
      if (rank !== this.rank) this.bytes += bytes.byteLength;
    });
    return got;
  }

  private requireLength(got: number, expected: number): void {
    if (got === expected) return;
    throw new TrainerError({
      where: `rank ${this.rank}`,
      what: 'the ranks do not do the same work',
      got: `${got} bytes of another rank`,
      expected: String(expected),
      hint: 'Start all ranks with the same program, model and settings.',
    });
  }
}

function byteLength({ size, dtype }: Tensor): number {
  return size * bytesPerElement(dtype);
}

async function joined(values: readonly Tensor[]): Promise<Uint8Array> {
  const parts = await Promise.all(values.map((value) => value.bytes()));
  return parts.length === 1 ? parts[0] : concatBytes(parts);
}

function parted(bytes: Uint8Array, like: readonly Tensor[]): Tensor[] {
  let start = 0;
  return like.map((value) => {
    const end = start + byteLength(value);
    const part = bytes.subarray(start, end);
    start = end;
    return tensorOf(part, value, value.shape);
  });
}

function tensorOf(bytes: Uint8Array, { dtype, backend }: Tensor, shape: readonly number[]): Tensor {
  return keep(fromBytes(bytes, { shape, dtype, backend }));
}

/** One array after the other. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
