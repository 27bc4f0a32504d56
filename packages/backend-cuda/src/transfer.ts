import { bytesPerElement, type DType, sizeOf } from '@frugal/tensor-core';
import type { Value } from './binding.js';
import type { Device } from './device.js';

/** Row-major host bytes as a flat tensor. The memory of `bytes` is kept: it must not change. */
export function fromHost(device: Device, bytes: Uint8Array, dtype: DType): Value {
  const { buffer, byteOffset, byteLength } = bytes;
  const width = bytesPerElement(dtype);
  const length = byteLength / width;
  if (length === 0) return device.fill([0], 0, dtype);
  switch (dtype) {
    case 'f32':
      return device.create([length], 'f32', new Float32Array(buffer, byteOffset, length));
    case 'i32':
      return device.create([length], 'i32', new Int32Array(buffer, byteOffset, length));
    case 'u8':
    case 'bool':
      return device.create([length], dtype, bytes);
    case 'i8':
      return device.bitcast(device.create([length], 'u8', bytes), 'i8');
    default:
      // The binding knows no 16-bit types: two bytes each, put together on the device.
      return device.bitcast(device.create([length, 2], 'u8', bytes), dtype);
  }
}

/** The elements of a tensor as host bytes, row-major; waits for them. */
export function toHost(device: Device, value: Value, dtype: DType): Uint8Array {
  const count = sizeOf(value.shape);
  const byteLength = count * bytesPerElement(dtype);
  if (count === 0) return new Uint8Array(0);
  if (dtype === 'f32' || dtype === 'i32' || dtype === 'bool') return bytesOf(device.download(value));
  // Nor does it download types of 8 and 16 bits: whole words of 32 bits are read, the last one filled up with zeros.
  const perWord = 4 / bytesPerElement(dtype);
  const words = Math.ceil(count / perWord);
  const flat = device.reshape(value, [count]);
  const missing = words * perWord - count;
  const padded = missing > 0 ? device.concat([flat, device.fill([missing], 0, dtype)], 0) : flat;
  const packed = device.bitcast(device.reshape(padded, [words, perWord]), 'i32');
  return bytesOf(device.download(packed)).slice(0, byteLength);
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
