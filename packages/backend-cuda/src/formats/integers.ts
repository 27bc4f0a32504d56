import { parseIntegerGroups } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';
import { Bytes } from './bytes.js';
import type { Unpacker } from './unpacker.js';

/** int8-channel: `codes` i8 [rows, columns] times `scales` f32 [rows]. */
export const int8ChannelUnpacker: Unpacker = (device, [codes, scales]) =>
  device.run('Mul', [device.cast(codes, 'f32'), device.reshape(scales, [codes.shape[0], 1])]);

/** `columns` codes of each row as f32, from streams of bits, lowest first. */
function codesOf(device: Device, bytes: Value, bits: number, columns: number): Value {
  const [rows, length] = bytes.shape;
  if (bits === 3) return threeBitCodes(device, bytes, columns);
  const codes = new Bytes(device, device.reshape(bytes, [rows, length, 1])).split(bits, 1).numbers();
  return device.slice(device.reshape(codes, [rows, (length * 8) / bits]), [0, 0], [rows, columns]);
}

/** Eight codes lie in three bytes: those are put together to whole numbers of 24 bits. */
function threeBitCodes(device: Device, bytes: Value, columns: number): Value {
  const rows = bytes.shape[0];
  const whole = padLast(device, bytes, 3);
  const words = device.reshape(whole, [rows, whole.shape[1] / 3, 3]);
  const weights = device.constant('bytes of words', () =>
    device.create([3], 'i32', Int32Array.of(1, 256, 65536)),
  );
  const numbers = device.run('Mul', [device.cast(words, 'i32'), weights]);
  const sums = device.run('Sum', [numbers, device.vector([2])]);
  const shifts = device.constant('shifts of words', () =>
    device.create(
      [8],
      'i32',
      Int32Array.from({ length: 8 }, (_, i) => 3 * i),
    ),
  );
  const apart = device.run('RightShift', [device.reshape(sums, [...sums.shape, 1]), shifts]);
  const codes = device.run('BitwiseAnd', [apart, device.scalar(7, 'i32')]);
  const flat = device.reshape(codes, [rows, sums.shape[1] * 8]);
  return device.cast(device.slice(flat, [0, 0], [rows, columns]), 'f32');
}

/** Zeros behind the last axis [rows, n], until n is a multiple of `unit`. */
export function padLast(device: Device, value: Value, unit: number): Value {
  const missing = (unit - (value.shape[1] % unit)) % unit;
  if (missing === 0) return value;
  const paddings = device.reshape(device.vector([0, 0, 0, missing]), [2, 2]);
  return device.run('Pad', [value, paddings]);
}

/** int{2|3|4|8}-g…: scale · (code - zero) per group of columns, perhaps in an order of its own. */
export function integerGroupsUnpacker(format: string): Unpacker | null {
  const shape = parseIntegerGroups(format);
  if (!shape) return null;
  const { bits, group, zeroPoints, ordered } = shape;
  return (device, parts, columns) => {
    const rows = parts[0].shape[0];
    const codes = padLast(device, codesOf(device, parts[0], bits, columns), group);
    const groups = codes.shape[1] / group;
    const perGroup = (part: Value) => device.reshape(device.cast(part, 'f32'), [rows, groups, 1]);
    const apart = device.reshape(codes, [rows, groups, group]);
    const zeros = zeroPoints ? perGroup(parts[2]) : device.scalar(2 ** (bits - 1), 'f32');
    const values = device.run('Mul', [device.run('Sub', [apart, zeros]), perGroup(parts[1])]);
    const stored = device.slice(device.reshape(values, [rows, groups * group]), [0, 0], [rows, columns]);
    if (!ordered) return stored;
    const places = device.run('InvertPermutation', [parts[zeroPoints ? 3 : 2]]);
    return device.run('GatherV2', [stored, places, device.scalar(1, 'i32')]);
  };
}
