import { type PackedAttributes, sizeOf, type TensorView } from '@frugal/tensor-core';
import { type PackedActivation, type PartArray, packedFormat } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';
import { unpackerOf } from '../formats/index.js';
import { padLast } from '../formats/integers.js';
import { selectRows } from '../formats/rows.js';
import { toHost } from '../transfer.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';
import { multiply } from './matmul.js';

/** Elements of a weight that are unpacked at a time: bounds the extra memory to 256 MiB. */
const TILE = 2 ** 26;

/** Columns that share a scale in `int8-block32`. */
const ACTIVATION_BLOCK = 32;

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
function unpackRows(
  device: Device,
  parts: readonly TensorView[],
  attributes: PackedAttributes,
  rowStart: number,
  rowCount: number,
): Value {
  const { format, rows, columns } = attributes;
  if (rowCount * columns === 0) return device.fill([rowCount, columns], 0, 'f32');
  const unpack = unpackerOf(format);
  if (!unpack) return unpackOnHost(device, parts, attributes, rowStart, rowCount);
  const values = parts.map((part) => read(device, part));
  return unpack(
    device,
    selectRows(device, format, values, rows, { start: rowStart, count: rowCount }),
    columns,
  );
}

/** Numbers rounded to int8 times absmax / 127 over the last axis, ties to even. */
function roundRows(device: Device, x: Value): Value {
  const axis = x.shape.length - 1;
  const largest = device.run(
    'Max',
    [device.run('Abs', [x]), device.vector([axis])],
    [{ name: 'keep_dims', type: 3, value: true }],
  );
  const scale = device.run('RealDiv', [largest, device.scalar(127, 'f32')]);
  const safe = device.run('Maximum', [scale, device.scalar(1e-30, 'f32')]);
  // TensorFlow's Round takes ties to even.
  return device.run('Mul', [device.run('Round', [device.run('RealDiv', [x, safe])]), safe]);
}

/** x [n, columns] as a product with quantised activations sees it; see `PackedActivation`. */
function activated(device: Device, x: Value, activation: PackedActivation, order: Value | undefined): Value {
  if (activation === 'none') return x;
  if (activation === 'int8') return roundRows(device, x);
  const [n, columns] = x.shape;
  const axis = device.scalar(1, 'i32');
  const stored = order ? device.run('GatherV2', [x, order, axis]) : x;
  const padded = padLast(device, stored, ACTIVATION_BLOCK);
  const blocks = padded.shape[1] / ACTIVATION_BLOCK;
  const rounded = roundRows(device, device.reshape(padded, [n, blocks, ACTIVATION_BLOCK]));
  const flat = device.slice(device.reshape(rounded, [n, padded.shape[1]]), [0, 0], [n, columns]);
  return order ? device.run('GatherV2', [flat, device.run('InvertPermutation', [order]), axis]) : flat;
}

export const packedKernels: Family<'unpack' | 'packedMatmul' | 'packedGather'> = (device) => ({
  unpack: (parts, [output], attributes) => {
    const { rowStart, rowCount } = attributes;
    write(device, output, unpackRows(device, parts, attributes, rowStart, rowCount));
  },

  packedMatmul: ([input, ...parts], [output], attributes) => {
    const { format, rows, columns, transpose, activation } = attributes;
    const inner = transpose ? rows : columns;
    const n = sizeOf(input.shape.slice(0, -1));
    const { orderPart } = packedFormat(format);
    const order = orderPart === undefined || transpose ? undefined : read(device, parts[orderPart]);
    const wide = device.reshape(device.cast(read(device, input), 'f32'), [n, inner]);
    const x = n * inner === 0 ? wide : activated(device, wide, activation, order);
    const height = Math.max(1, Math.floor(TILE / Math.max(1, columns)));
    const products: Value[] = [];
    for (let start = 0; start < Math.max(1, rows); start += height) {
      const count = Math.min(height, rows - start);
      const value = unpackRows(device, parts, attributes, start, count);
      const left = transpose ? device.slice(x, [0, start], [n, count]) : x;
      products.push(multiply(device, { value: left, swapped: false }, { value, swapped: !transpose }));
    }
    const result = transpose
      ? products.reduce((sum, product) => device.run('AddV2', [sum, product]))
      : device.concat(products, 1);
    write(device, output, device.cast(device.reshape(result, output.shape), output.dtype));
  },

  packedGather: ([indices, ...parts], [output], attributes) => {
    const { format, rows, columns } = attributes;
    const unpack = unpackerOf(format);
    const count = sizeOf(indices.shape);
    const wanted = device.reshape(read(device, indices), [count]);
    if (unpack && count * columns > 0) {
      const values = parts.map((part) => read(device, part));
      const selected = selectRows(device, format, values, rows, { indices: wanted });
      write(device, output, device.reshape(unpack(device, selected, columns), output.shape));
      return;
    }
    const all = unpackRows(device, parts, attributes, 0, rows);
    const taken = device.run('GatherV2', [all, wanted, device.scalar(0, 'i32')]);
    write(device, output, device.reshape(taken, output.shape));
  },
});
