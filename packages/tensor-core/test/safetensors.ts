import { readFileSync } from 'node:fs';
import { type DType, fromBytes, type Tensor } from '@frugal/tensor-core';

const dtypes: Readonly<Record<string, DType>> = {
  F32: 'f32',
  BF16: 'bf16',
  F16: 'f16',
  I32: 'i32',
  I8: 'i8',
};

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [start: number, end: number];
}

/** All tensors of a small safetensors file that our own scripts wrote; `@frugal/checkpoint` reads those of others. */
export function readFixture(path: URL): Map<string, Tensor> {
  const bytes = new Uint8Array(readFileSync(path));
  const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header: Record<string, Entry> = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)),
  );
  const tensors = new Map<string, Tensor>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const data = bytes.slice(8 + headerLength + data_offsets[0], 8 + headerLength + data_offsets[1]);
    tensors.set(name, fromBytes(data, { shape, dtype: dtypes[dtype] }));
  }
  return tensors;
}
