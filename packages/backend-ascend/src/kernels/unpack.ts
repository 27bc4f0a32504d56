import type { Kernel, PackedAttributes, TensorView } from '@frugal/tensor-core';
import { parseIntegerGroups } from '@frugal/tensor-core/formats';
import type { Operand } from '../abi/types.js';
import { type Device, operandOf, partOf } from '../device.js';
import type { Family } from './family.js';
import { onHost } from './host.js';

/** A part's rows start … start + count - 1: [count, columns], or [count, 1] of a part with one number per row. */
function rowsOf(part: TensorView, start: number, count: number): Operand {
  const operand = operandOf(part);
  const whole =
    part.shape.length === 1
      ? { ...operand, shape: [part.shape[0], 1], strides: [operand.strides[0], 1] }
      : operand;
  return partOf(whole, [start, 0], [count, whole.shape[1]]);
}

/**
 * Codes of `bits` bits as f32, from bytes that hold them lowest first: [rows, width], of which as many columns are set as
 * the bytes have codes. By arithmetic, which f32 does exactly on whole numbers below 256.
 */
function splitCodes(device: Device, bytes: Operand, bits: number, width: number): Operand {
  const [rows, length] = bytes.shape;
  const count = 8 / bits;
  const codes = device.scratch([rows, width], 'f32');
  let rest = device.cast(bytes, 'f32');
  const [base, inverse] = [2 ** bits, 2 ** -bits].map((number) => device.constant(number));
  for (let i = 0; i < count; i++) {
    const [scaled, higher, shifted] = [0, 1, 2].map(() => device.scratch([rows, length], 'f32'));
    device.run('Mul', rest, inverse, scaled);
    device.run('Floor', scaled, higher);
    device.run('Mul', higher, base, shifted);
    const places = { ...codes, shape: [rows, length], strides: [width, count], offset: i };
    device.run('Sub', rest, shifted, { number: 1, type: 'i64' }, places);
    rest = higher;
  }
  return codes;
}

/** scale · (code - zero) per group of columns; the last group may be shorter. */
function unpackGroups(
  device: Device,
  parts: readonly Operand[],
  columns: number,
  {
    bits,
    group,
    zeroPoints,
  }: { readonly bits: number; readonly group: number; readonly zeroPoints: boolean },
): Operand {
  const [bytes, scales] = parts;
  const [rows, groups] = scales.shape;
  const width = Math.max((bytes.shape[1] * 8) / bits, groups * group);
  const codes = splitCodes(device, bytes, bits, width);
  const shape = [rows, groups, group];
  const grouped = { ...codes, shape, strides: [width, group, 1] };
  const perGroup = (part: Operand): Operand => {
    const wide = device.cast(part, 'f32');
    return { ...wide, shape: [rows, groups, 1], strides: [...wide.strides, 1] };
  };
  const zeros = zeroPoints ? perGroup(parts[2]) : device.constant(2 ** (bits - 1));
  const [centred, values] = [device.scratch(shape, 'f32'), device.scratch(shape, 'f32')];
  device.run('Sub', grouped, zeros, { number: 1, type: 'i64' }, centred);
  device.run('Mul', centred, perGroup(scales), values);
  return { ...values, shape: [rows, columns], strides: [groups * group, 1] };
}

/** Unpacks on the device, or says no for formats that go through the host. */
function unpackHere(
  device: Device,
  parts: readonly TensorView[],
  output: TensorView,
  { format, columns, rowStart, rowCount }: PackedAttributes & { rowStart: number; rowCount: number },
): boolean {
  const out = operandOf(output);
  const integers = parseIntegerGroups(format);
  if (integers && integers.bits !== 3 && !integers.ordered) {
    const rows = parts.map((part) => rowsOf(part, rowStart, rowCount));
    device.copy(out, unpackGroups(device, rows, columns, integers));
    return true;
  }
  if (format !== 'int8-channel') return false;
  const [codes, scales] = parts.map((part) => rowsOf(part, rowStart, rowCount));
  device.run('Mul', device.cast(codes, 'f32'), scales, out);
  return true;
}

/** Whole numbers are unpacked on the device; no op reads the other formats, and their bytes go through the host. */
export const unpackKernels: Family<'unpack'> = (device) => {
  const throughHost: Kernel<'unpack'> = onHost(device, 'unpack');
  return {
    unpack: (parts, [output], attributes) => {
      if (!unpackHere(device, parts, output, attributes)) throughHost(parts, [output], attributes);
    },
  };
};
