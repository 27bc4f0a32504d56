import type { PackedAttributes, TensorView } from '@frugal/tensor-core';
import { type PartArray, packedFormat } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';
import { unpackersOf } from '../formats/index.js';
import { toHost } from '../transfer.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';

const arrays = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Through the host, for formats without an unpacker of their own here. */
function unpackOnHost(
  device: Device,
  parts: readonly TensorView[],
  { format, rows, columns }: PackedAttributes,
  rowStart: number,
  rowCount: number,
): Value {
  const host = parts.map((part): PartArray => {
    const { buffer, byteOffset, byteLength } = toHost(device, read(device, part), part.dtype);
    const ArrayType = arrays[part.dtype];
    return new ArrayType(buffer as ArrayBuffer, byteOffset, byteLength / ArrayType.BYTES_PER_ELEMENT);
  });
  const out = new Float32Array(rowCount * columns);
  packedFormat(format).unpack(host, { rows, columns, rowStart, rowCount }, out);
  return device.create([rowCount, columns], 'f32', out);
}

/** Rows rowStart … rowStart + rowCount - 1 of a packed matrix as f32 [rowCount, columns]. */
export function unpackRows(
  device: Device,
  parts: readonly TensorView[],
  attributes: PackedAttributes,
  rowStart: number,
  rowCount: number,
): Value {
  const { format, columns } = attributes;
  if (rowCount * columns === 0) return device.fill([rowCount, columns], 0, 'f32');
  const unpack = unpackersOf(format);
  if (!unpack) return unpackOnHost(device, parts, attributes, rowStart, rowCount);
  return unpack(
    device,
    parts.map((part) => read(device, part)),
    { ...attributes, rowStart, rowCount },
  );
}

export const packedKernels: Family<'unpack'> = (device) => ({
  unpack: (parts, [output], attributes) => {
    const { rowStart, rowCount } = attributes;
    write(device, output, unpackRows(device, parts, attributes, rowStart, rowCount));
  },
});
