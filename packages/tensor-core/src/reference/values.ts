import type { TensorView } from '../backend.js';
import { bf16ToFloat, f16ToFloat, floatToBf16, floatToF16 } from '../dtype.js';
import { broadcastStrides, isContiguous, type Shape, sizeOf } from '../shape.js';
import type { HostStorage } from './storage.js';

/** Elements as they lie in memory: bf16 and f16 as their 16 bits. */
export type RawArray = Float32Array | Uint16Array | Int32Array | Int8Array | Uint8Array;
/** Elements as numbers: bf16 and f16 widened to f32. */
export type NumberArray = Float32Array | Int32Array | Int8Array | Uint8Array;

const rawArrayOf = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const;

function wholeStorage({ storage, dtype }: TensorView): RawArray {
  const { buffer } = storage as HostStorage;
  const ArrayType = rawArrayOf[dtype];
  return new ArrayType(buffer, 0, Math.floor(buffer.byteLength / ArrayType.BYTES_PER_ELEMENT));
}

/** Elements in row-major order. Shares memory with the storage when they lie like that already. */
export function readRaw(view: TensorView): RawArray {
  const source = wholeStorage(view);
  const { shape, strides, offset } = view;
  const size = sizeOf(shape);
  if (isContiguous(shape, strides)) return source.subarray(offset, offset + size);
  const out = new rawArrayOf[view.dtype](size);
  gather(source, view, out);
  return out;
}

function gather(
  source: RawArray,
  { shape, strides, offset }: Pick<TensorView, 'shape' | 'strides' | 'offset'>,
  out: RawArray,
): void {
  const last = shape.length - 1;
  const length = shape[last];
  const step = strides[last];
  const position = new Array<number>(shape.length).fill(0);
  let start = offset;
  for (let i = 0; i < out.length; i += length) {
    if (step === 0) out.fill(source[start], i, i + length);
    else if (step === 1) out.set(source.subarray(start, start + length), i);
    else for (let k = 0, from = start; k < length; k++, from += step) out[i + k] = source[from];
    for (let axis = last - 1; axis >= 0; axis--) {
      start += strides[axis];
      if (++position[axis] < shape[axis]) break;
      start -= strides[axis] * shape[axis];
      position[axis] = 0;
    }
  }
}

/** Numbers in row-major order; may share memory with the storage. */
export function readNumbers(view: TensorView): NumberArray {
  const raw = readRaw(view);
  if (!(raw instanceof Uint16Array)) return raw;
  return Float32Array.from(raw, view.dtype === 'bf16' ? bf16ToFloat : f16ToFloat);
}

/** The same for tensors that `infer` has found to be floating-point. */
export function readFloats(view: TensorView): Float32Array {
  return readNumbers(view) as Float32Array;
}

/** The same for i32 tensors. */
export function readIndices(view: TensorView): Int32Array {
  return readRaw(view) as Int32Array;
}

/** Numbers of a view as if it had the broadcast shape `target`. */
export function readBroadcast(view: TensorView, target: Shape): NumberArray {
  return readNumbers({ ...view, shape: target, strides: broadcastStrides(view.shape, view.strides, target) });
}

/**
 * Lets `compute` fill an array with the elements of `view`, which is contiguous. Numbers are rounded to f32 as they
 * are stored, and to bf16 or f16 after that; integers wrap.
 */
export function writeNumbers(view: TensorView, compute: (out: NumberArray) => void): void {
  const target = wholeStorage(view).subarray(view.offset, view.offset + sizeOf(view.shape));
  if (!(target instanceof Uint16Array)) {
    compute(target);
    return;
  }
  const wide = new Float32Array(target.length);
  compute(wide);
  const round = view.dtype === 'bf16' ? floatToBf16 : floatToF16;
  for (let i = 0; i < wide.length; i++) target[i] = round(wide[i]);
}

export function writeFloats(view: TensorView, compute: (out: Float32Array) => void): void {
  writeNumbers(view, compute as (out: NumberArray) => void);
}

/** Copies elements as they are into a contiguous view of the same dtype. */
export function writeRaw(view: TensorView, values: RawArray): void {
  wholeStorage(view).set(values, view.offset);
}

/** Raw elements of a contiguous view, sharing its memory: for ops that move elements or change them in place. */
export function rawInPlace(view: TensorView): RawArray {
  return wholeStorage(view).subarray(view.offset, view.offset + sizeOf(view.shape));
}

/** Sizes before, along and after an axis: element (o, i, n) lies at (o · length + i) · inner + n. */
export function splitAtAxis(
  shape: Shape,
  axis: number,
): { readonly outer: number; readonly length: number; readonly inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), length: shape[axis], inner: sizeOf(shape.slice(axis + 1)) };
}

/** Number of rows and their length, for ops over the last axis. */
export function rowsAndColumns(shape: Shape): { readonly rows: number; readonly columns: number } {
  const columns = shape[shape.length - 1];
  return { rows: sizeOf(shape.slice(0, -1)), columns };
}
