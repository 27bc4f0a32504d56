import { type IntegerGroups, integerGroupsName, type PartArray } from '@frugal/tensor-core/formats';
import type { DType } from '../dtypes.js';
import { typedArrayOf } from '../numeric/convert.js';
import type { TensorSource } from '../tensor-source.js';
import { orderOfGroups, packCodes, reorderColumns, transposed } from './bit-streams.js';
import type { OpenMatrix, WeightScheme } from './compressed-tensors.js';
import { FLOATS, ModuleTensors, type QuantizedMatrix } from './quantized-matrix.js';
import { rowsOfWords } from './words.js';

type Bits = IntegerGroups['bits'];

/**
 * Integers: `weight_packed` I32 [rows, words], a row's codes as one stream of bits (`pack-quantized`), or `weight` I8
 * [rows, columns] (`int-quantized`); codes are signed, stored with 2^(bits-1) added when packed. `weight_scale`
 * [rows, groups]; `weight_zero_point` packed down the rows, or I8; `weight_g_idx` [columns] for activation order.
 */
export const codesMatrix: OpenMatrix = (base, shape, scheme, source) => {
  const isBytes = scheme.bits === 8 || !source.entries.has(`${base}.weight_packed`);
  return isBytes && scheme.symmetric && scheme.strategy === 'channel'
    ? int8Channel(base, shape, scheme, source)
    : integerGroupMatrix(base, shape, scheme, source);
};

function int8Channel(
  base: string,
  shape: readonly [number, number],
  { activation }: WeightScheme,
  source: TensorSource,
): QuantizedMatrix {
  const [rows, columns] = shape;
  const tensors = new ModuleTensors(source, base);
  const isPacked = tensors.has('weight_packed');
  if (isPacked) tensors.expect('weight_packed', ['I32'], [rows, Math.ceil(columns / 4)]);
  else tensors.expect('weight', ['I8'], shape);
  tensors.expect('weight_scale', FLOATS, [rows, 1]);
  for (const suffix of ['input_scale', 'weight_shape', 'weight_zero_point']) tensors.optional(suffix);
  return {
    format: 'int8-channel',
    shape,
    tensors: tensors.names,
    activation: activation ?? 'none',
    problems: tensors.problems,
    async read() {
      const codes = isPacked
        ? Int8Array.from(
            rowsOfWords(await tensors.words('weight_packed'), rows, columns, 8),
            (code) => code - 128,
          )
        : new Int8Array((await tensors.bytes('weight')).buffer);
      return [codes, await tensors.floats('weight_scale')];
    },
  };
}

const scaleTypes = { F16: 'f16', BF16: 'bf16', F32: 'f32' } as const;

function integerGroupMatrix(
  base: string,
  shape: readonly [number, number],
  scheme: WeightScheme,
  source: TensorSource,
): QuantizedMatrix {
  const [rows, columns] = shape;
  const bits = scheme.bits as Bits;
  const group = scheme.strategy === 'group' ? Math.min(scheme.groupSize, columns) : columns;
  const groups = Math.ceil(columns / group);
  const tensors = new ModuleTensors(source, base);
  const isPacked = tensors.has('weight_packed');
  if (isPacked) tensors.expect('weight_packed', ['I32'], [rows, -1]);
  else tensors.expect('weight', ['I8'], shape);
  const wholeTensor = scheme.strategy === 'tensor';
  const scale = tensors.expect('weight_scale', FLOATS, wholeTensor ? [1] : [rows, groups]);
  const zero = scheme.symmetric ? undefined : tensors.optional('weight_zero_point');
  for (const suffix of ['weight_shape', 'input_scale', ...(scheme.symmetric ? ['weight_zero_point'] : [])])
    tensors.optional(suffix);
  const ordered = tensors.optional('weight_g_idx') !== undefined;
  const format = {
    bits,
    group,
    zeroPoints: zero !== undefined,
    scale: scaleTypes[(scale?.dtype ?? 'F16') as 'F16'],
    ordered,
  };
  return {
    format: integerGroupsName(format),
    shape,
    tensors: tensors.names,
    activation: scheme.activation ?? 'suited',
    problems: tensors.problems,
    async read() {
      const codes = isPacked
        ? rowsOfWords(await tensors.words('weight_packed'), rows, columns, bits)
        : unsigned(await tensors.bytes('weight'), bits);
      const scales = scaleParts(
        await tensors.bytes('weight_scale'),
        scale?.dtype as DType,
        wholeTensor ? rows : 1,
      );
      const zeros = zero ? [await readZeros(tensors, zero.dtype, [rows, groups], bits)] : [];
      if (!ordered) return [packCodes(codes, rows, columns, bits), scales, ...zeros];
      const order =
        orderOfGroups(await tensors.integers('weight_g_idx'), group) ??
        Int32Array.from({ length: columns }, (_, c) => c);
      return [packCodes(reorderColumns(codes, columns, order), rows, columns, bits), scales, ...zeros, order];
    },
  };
}

/** Signed codes in bytes → unsigned ones. */
function unsigned(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((code) => (code + 2 ** (bits - 1)) & (2 ** bits - 1));
}

function scaleParts(bytes: Uint8Array, dtype: DType, repeats: number): PartArray {
  const scales = typedArrayOf(bytes, dtype as 'F16') as Uint16Array;
  return repeats === 1 ? scales : new (scales.constructor as typeof Uint16Array)(repeats).fill(scales[0]);
}

/** Zero points [rows, groups]: bytes, one of them where all rows share it, or words packed down the rows. */
async function readZeros(
  tensors: ModuleTensors,
  dtype: DType,
  [rows, groups]: readonly [number, number],
  bits: number,
): Promise<Uint8Array> {
  if (dtype !== 'I32') {
    const zeros = unsigned(await tensors.bytes('weight_zero_point'), bits);
    return zeros.length === 1 ? new Uint8Array(rows * groups).fill(zeros[0]) : zeros;
  }
  const words = await tensors.words('weight_zero_point');
  const columns = transposed(words, words.length / groups, groups);
  return transposed(rowsOfWords(columns, groups, rows, bits), groups, rows);
}
