import {
  bytesPerElement,
  type Kernel,
  type OpName,
  type OpSpecs,
  sizeOf,
  type TensorView,
} from '@frugal/tensor-core';
import { type PartArray, packedFormat } from '@frugal/tensor-core/formats';
import type { CpuStorage } from './memory.js';
import {
  activationNumbers,
  bitmapValues,
  matrixAttributes,
  partsAttributes,
  rows16Supports,
} from './packed-layout.js';

/** Runs a native kernel by its name. */
type Run = (
  kernel: string,
  inputs: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: readonly number[],
) => void;

type PackedOp = Extract<
  OpName,
  'unpack' | 'packedMatmul' | 'groupedPackedMatmul' | 'packedGather' | 'packedRepack' | 'packedStandard'
>;

/** Whether a case of a packed op has a kernel; core unpacks the others tile by tile. */
export function supportsPacked(op: OpName, attributes: unknown, maxTensors: number): boolean {
  if (op === 'packedMatmul') {
    const { format, layout, transpose, activation } = attributes as OpSpecs['packedMatmul'];
    // Unpacked once, x W runs at the speed of dense products: several times that of unpacking in between.
    if (layout) return !transpose && rows16Supports(format, activation);
    if (bitmapValues(format) !== null) return !transpose && activation === 'none';
    return (
      format === 'int8-channel' && activation !== 'int8-block32' && !(transpose && activation === 'int8')
    );
  }
  if (op === 'groupedPackedMatmul') {
    const { format, layout, groups, activation } = attributes as OpSpecs['groupedPackedMatmul'];
    // Beside the matrices: x, the offsets and the result.
    return layout !== undefined && rows16Supports(format, activation) && groups + 3 <= maxTensors;
  }
  if (op === 'packedGather') {
    const { format, layout } = attributes as OpSpecs['packedGather'];
    return layout !== undefined || format === 'int8-channel';
  }
  return true;
}

/** Kernels of packed ops: on the layout rows16, on int8-channel and bitmaps as they are, and formats that unpack in TypeScript. `beforeJavaScript` is called before the last. */
export function packedKernels(
  run: Run,
  beforeJavaScript: () => void,
): { readonly [N in PackedOp]: Kernel<N> } {
  const matrix = ({ format, rows, columns }: OpSpecs['packedGather']) =>
    matrixAttributes(format, rows, columns);
  return {
    unpack: (parts, outputs, attributes) => {
      const { format, layout, rowStart } = attributes;
      if (layout) run('packedRowsUnpack', parts, outputs, [...matrix(attributes), rowStart]);
      else if (format === 'int8-channel') run('unpack', parts, outputs, [rowStart]);
      else if (!unpackNatively(run, parts, outputs, attributes)) {
        beforeJavaScript();
        unpackInTypeScript(parts, outputs[0], attributes);
      }
    },
    packedMatmul: (inputs, outputs, attributes) => {
      const { format, layout, rows, columns, transpose, activation } = attributes;
      const bitmap = layout ? null : bitmapValues(format);
      if (bitmap !== null) run('packedBitmapMatmul', inputs, outputs, [rows, columns, bitmap]);
      else if (!layout) {
        const flags = [transpose, activation === 'int8'].map(Number);
        run('packedMatmul', inputs, outputs, [rows, columns, ...flags]);
      } else run('packedRowsMatmul', inputs, outputs, [...matrix(attributes), activationNumbers[activation]]);
    },
    groupedPackedMatmul: (inputs, outputs, attributes) =>
      run('groupedPackedRowsMatmul', inputs, outputs, [
        ...matrix(attributes),
        activationNumbers[attributes.activation],
      ]),
    packedGather: (inputs, outputs, attributes) => {
      if (attributes.layout) run('packedRowsGather', inputs, outputs, matrix(attributes));
      else run('packedGather', inputs, outputs, []);
    },
    packedRepack: (parts, outputs, attributes) => run('packedRowsRepack', parts, outputs, matrix(attributes)),
    packedStandard: (blob, outputs, attributes) =>
      run('packedRowsStandard', blob, outputs, matrix(attributes)),
  };
}

/** Parts as they are, where a kernel knows the format. */
function unpackNatively(
  run: Run,
  parts: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: OpSpecs['unpack'],
): boolean {
  const known = partsAttributes(attributes);
  if (known) run('packedPartsUnpack', parts, outputs, known);
  return known !== null;
}

/** Formats without a kernel of ours unpack through their own TypeScript, on the memory as it lies. */
function unpackInTypeScript(
  parts: readonly TensorView[],
  output: TensorView,
  { format, rows, columns, rowStart, rowCount }: OpSpecs['unpack'],
): void {
  const out = partArray(output) as Float32Array;
  packedFormat(format).unpack(parts.map(partArray), { rows, columns, rowStart, rowCount }, out);
}

const arrayOf = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
  i32: Int32Array,
} as const;

/** The elements of a contiguous tensor, sharing its memory. */
function partArray({ storage, shape, dtype, offset }: TensorView): PartArray {
  const size = bytesPerElement(dtype);
  const bytes = (storage as CpuStorage).bytes(offset * size, sizeOf(shape) * size);
  return new arrayOf[dtype](bytes.buffer, bytes.byteOffset, sizeOf(shape));
}
