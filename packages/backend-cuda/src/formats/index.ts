import type { UnpackRange } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';

/** Rows of a packed matrix as f32 [rowCount, columns], computed on the device from the parts of its format. */
export type Unpacker = (device: Device, parts: readonly Value[], range: UnpackRange) => Value;

/** Null for formats that go through the host. */
export function unpackersOf(_format: string): Unpacker | null {
  return null;
}
