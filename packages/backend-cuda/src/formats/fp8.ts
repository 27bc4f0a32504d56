import { e4m3Values } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';
import { Bytes } from './bytes.js';
import { padLast } from './integers.js';
import type { Unpacker } from './unpacker.js';

const BLOCK = 128;

/** E4M3 codes [rows, columns] by their table: TensorFlow multiplies no 8-bit floats. */
function numbersOf(device: Device, codes: Value): Value {
  return new Bytes(device, codes).lookUp('e4m3', e4m3Values);
}

/** One scale, or one per row. */
const perRow: Unpacker = (device, [codes, scales]) =>
  device.run('Mul', [numbersOf(device, codes), device.reshape(scales, [scales.shape[0], 1])]);

/** One scale for every 128 columns of a row; rows of a block share theirs, which come repeated. */
const perBlock: Unpacker = (device, [codes, scales], columns) => {
  const rows = codes.shape[0];
  const padded = padLast(device, codes, BLOCK);
  const blocks = scales.shape[1];
  const apart = device.reshape(numbersOf(device, padded), [rows, blocks, BLOCK]);
  const values = device.run('Mul', [apart, device.reshape(scales, [rows, blocks, 1])]);
  return device.slice(device.reshape(values, [rows, blocks * BLOCK]), [0, 0], [rows, columns]);
};

export const fp8Unpackers: Readonly<Record<string, Unpacker>> = {
  'fp8-tensor': perRow,
  'fp8-channel': perRow,
  'fp8-block128': perBlock,
};
