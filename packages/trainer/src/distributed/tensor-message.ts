import {
  type Backend,
  bytesPerElement,
  type Collective,
  type DType,
  fromBytes,
  keep,
  referenceBackend,
  sizeOf,
  type Tensor,
} from '@frugal/tensor-core';
import { concatBytes } from './transport-collective.js';

type Header = readonly (readonly [name: string, dtype: DType, shape: readonly number[]])[];

/** Named tensors as bytes: the length of a JSON header (u32), the header, the values. */
export async function packTensors(tensors: ReadonlyMap<string, Tensor>): Promise<Uint8Array> {
  const header: Header = [...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(Uint32Array.of(text.byteLength).buffer);
  const values = await Promise.all([...tensors.values()].map((tensor) => tensor.bytes()));
  return concatBytes([length, text, ...values]);
}

/** The tensors that {@link packTensors} was given, on `backend`, outside of all scopes. */
export function unpackTensors(bytes: Uint8Array, backend: Backend): Map<string, Tensor> {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as Header;
  let at = 4 + length;
  return new Map(
    header.map(([name, dtype, shape]) => {
      const end = at + sizeOf(shape) * bytesPerElement(dtype);
      const value = fromBytes(bytes.subarray(at, end), { shape, dtype, backend });
      at = end;
      return [name, keep(value)];
    }),
  );
}

/** Bytes of rank `root`, of any length, on every rank. */
export async function broadcastBytes(
  collective: Collective,
  bytes: Uint8Array | null,
  root = 0,
): Promise<Uint8Array> {
  const length = bytes?.byteLength ?? 0;
  // As two i32, which hold more than 2 GiB.
  const announced = inMemory(
    new Uint8Array(Int32Array.of(Math.floor(length / 2 ** 30), length % 2 ** 30).buffer),
    'i32',
  );
  const [known] = await collective.broadcast([announced], root);
  const [high, low] = await known.toInt32();
  const own = inMemory(bytes ?? new Uint8Array(high * 2 ** 30 + low), 'u8');
  const [got] = await collective.broadcast([own], root);
  const result = await got.bytes();
  for (const tensor of [announced, known, own, got]) tensor.dispose();
  return result;
}

/** Bytes of every rank on rank 0, in rank order; the others get nothing. */
export async function gatherBytes(collective: Collective, bytes: Uint8Array): Promise<Uint8Array[]> {
  const parts = Array.from({ length: collective.size }, (_, rank) =>
    inMemory(rank === 0 ? bytes : new Uint8Array(0), 'u8'),
  );
  const got = await collective.allToAll(parts);
  const result = collective.rank === 0 ? await Promise.all(got.map((part) => part.bytes())) : [];
  for (const tensor of [...parts, ...got]) tensor.dispose();
  return result;
}

/** In host memory, whatever computes the model: messages are not computed with. */
function inMemory(bytes: Uint8Array, dtype: 'u8' | 'i32'): Tensor {
  const shape = [dtype === 'u8' ? bytes.byteLength : bytes.byteLength / 4];
  return keep(fromBytes(bytes, { shape, dtype, backend: referenceBackend() }));
}
