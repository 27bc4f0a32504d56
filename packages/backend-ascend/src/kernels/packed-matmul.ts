import type { OpSpecs, TensorInfo, TensorView } from '@frugal/tensor-core';
import { type IntegerGroups, parseIntegerGroups } from '@frugal/tensor-core/formats';
import type { Operand } from '../abi/types.js';
import { type Device, operandOf, viewOf } from '../device.js';
import { type FusedFamily, isHalf } from './family.js';

type Attributes = OpSpecs['packedMatmul'];

/** The longest axis of a packed weight that CANN's ops take. */
const LONGEST = 65535;
const GROUP_STEP = 32;
/** Turns codes 0 … 15 around their middle into the signed nibbles that CANN reads. */
const FLIP_SIGNS = { number: 0x88, type: 'i64' } as const;

/** x [..., C] as rows [M, C]. */
function rowsOf(device: Device, x: TensorView): Operand {
  const plain = device.contiguous(operandOf(x));
  const columns = x.shape[x.shape.length - 1];
  return viewOf(plain, [plain.shape.slice(0, -1).reduce((a, b) => a * b, 1), columns], [columns, 1]);
}

/** Rows as int8 codes and f32 scales [M]: absmax / 127, ties to even. */
function quantizedRows(device: Device, x: Operand): { readonly codes: Operand; readonly scales: Operand } {
  const [M, K] = x.shape;
  const codes = device.scratch([M, K], 'i8');
  if (x.type !== 'f32') {
    const scales = device.scratch([M], 'f32');
    device.run('DynamicQuant', x, null, codes, scales);
    return { codes, scales };
  }
  const [size, quotient, whole] = [0, 1, 2].map(() => device.scratch([M, K], 'f32'));
  const [largest, scale, safe] = [0, 1, 2].map(() => device.scratch([M, 1], 'f32'));
  device.run('Abs', x, size);
  device.run('Amax', size, [1], true, largest);
  device.run('Div', largest, device.constant(127), scale);
  device.run('Maximum', scale, device.constant(1e-30), safe);
  device.run('Div', x, safe, quotient);
  device.run('Round', quotient, whole);
  device.run('Cast', whole, 'i8', codes);
  return { codes, scales: viewOf(safe, [M], [1]) };
}

/** codes [M, K] · weight codes [N, K]ᵀ, scaled; `rowScales` only into 16 bits. */
function quantProduct(
  device: Device,
  [codes, weight]: readonly [Operand, Operand],
  scales: Operand,
  rowScales: Operand | null,
  out: Operand,
): void {
  if (device.has('QuantMatmulV5')) {
    const unused = [null, null, null, null, null] as const;
    device.run('QuantMatmulV5', codes, weight, rowScales, scales, ...unused, false, true, 0, out);
  } else device.run('QuantMatmulV4', codes, weight, scales, null, rowScales, null, false, true, out);
}

/** W8A8: int8 activations times int8 weights with a scale per output. */
function int8Product(device: Device, x: Operand, [weight, scales]: readonly Operand[], out: Operand): void {
  const { codes, scales: rowScales } = quantizedRows(device, x);
  if (out.type !== 'f32') {
    quantProduct(device, [codes, weight], scales, rowScales, out);
    return;
  }
  // There is no f32 result: the whole numbers are scaled here, by one factor, as the op is defined.
  const [sums, factors] = [device.scratch(out.shape, 'i32'), device.scratch(out.shape, 'f32')];
  quantProduct(device, [codes, weight], device.constant(1, 'f32', [1]), null, sums);
  device.run('Mul', viewOf(rowScales, [out.shape[0], 1], [1, 1]), scales, factors);
  device.run('Mul', device.cast(sums, 'f32'), factors, out);
}

/** x times a weight that is unpacked on the way: `weight` [K, N], scales and offsets [groups, N] or [N]. */
function weightProduct(
  device: Device,
  x: Operand,
  weight: Operand,
  [scales, offsets]: readonly [Operand, Operand | null],
  group: number,
  out: Operand,
): void {
  const inputs = [x, weight, scales, offsets, null, null, null, group] as const;
  if (device.has('WeightQuantBatchMatmulV3')) device.run('WeightQuantBatchMatmulV3', ...inputs, 0, out);
  else device.run('WeightQuantBatchMatmulV2', ...inputs, out);
}

function swapped(operand: Operand): Operand {
  return viewOf(operand, [...operand.shape].reverse(), [...operand.strides].reverse());
}

/** W4A16: value = (signed code + offset) · scale with offset = 8 - zero point. */
function int4Product(
  device: Device,
  x: Operand,
  parts: readonly Operand[],
  { group, zeroPoints }: IntegerGroups,
  out: Operand,
): void {
  const [bytes, scales, zeros] = parts;
  const [N, length] = bytes.shape;
  const K = x.shape[1];
  const signed = device.scratch(bytes.shape, 'u8');
  device.run('BitwiseXorScalar', bytes, FLIP_SIGNS, signed);
  const codes: Operand = {
    ...signed,
    type: 'i4',
    shape: [N, K],
    strides: [2 * length, 1],
    storage: 2 * N * length,
  };
  const perGroup = (part: Operand) => swapped(device.contiguous(device.cast(part, x.type)));
  let offsets: Operand | null = null;
  if (zeroPoints) {
    offsets = device.scratch(zeros.shape, x.type);
    device.run(
      'Sub',
      device.constant(8, x.type),
      device.cast(zeros, x.type),
      { number: 1, type: 'i64' },
      offsets,
    );
    offsets = swapped(offsets);
  }
  weightProduct(device, x, swapped(codes), [perGroup(scales), offsets], group < K ? group : 0, out);
}

/** The groups of a format whose weights CANN's op unpacks. */
function groupsOf({ format, columns }: Attributes): IntegerGroups | null {
  const groups = parseIntegerGroups(format);
  if (groups?.bits !== 4 || groups.ordered || columns % 2 !== 0) return null;
  return groups.group >= columns || groups.group % GROUP_STEP === 0 ? groups : null;
}

function takes(device: Device, x: TensorInfo, attributes: Attributes): boolean {
  const { format, activation, transpose, rows, columns, layout } = attributes;
  if (transpose || layout !== undefined || columns === 0 || Math.max(rows, columns) > LONGEST) return false;
  if (format === 'int8-channel' && activation === 'int8') {
    const isThere = device.first('QuantMatmulV5', 'QuantMatmulV4') !== null;
    return isThere && device.has(isHalf(x) ? 'DynamicQuant' : 'Round');
  }
  const isUnpacked = format === 'int8-channel' || groupsOf(attributes) !== null;
  const isThere = device.first('WeightQuantBatchMatmulV3', 'WeightQuantBatchMatmulV2') !== null;
  return activation === 'none' && isUnpacked && isHalf(x) && isThere;
}

/** Products with packed weights that CANN multiplies without unpacking them to memory first. */
export const packedMatmulKernels: FusedFamily<'packedMatmul'> = (device) => ({
  packedMatmul: {
    takes: ([x], attributes) => takes(device, x, attributes),
    run: ([x, ...views], [output], attributes) => {
      const [rows, parts] = [rowsOf(device, x), views.map(operandOf)];
      const out = viewOf(operandOf(output), [rows.shape[0], attributes.rows], [attributes.rows, 1]);
      if (attributes.activation === 'int8') return int8Product(device, rows, parts, out);
      const groups = groupsOf(attributes);
      if (groups) return int4Product(device, rows, parts, groups, out);
      const scales = device.cast(parts[1], rows.type);
      weightProduct(device, rows, swapped(parts[0]), [scales, null], 0, out);
    },
  },
});
