import type { Value } from '../binding.js';
import type { Device } from '../device.js';

/**
 * Rows of a packed matrix as f32 [rows, columns], computed on the device. Parts that have one entry per row come with the
 * wanted rows alone.
 */
export type Unpacker = (device: Device, parts: readonly Value[], columns: number) => Value;
