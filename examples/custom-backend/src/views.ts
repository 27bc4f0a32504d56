import {
  bf16ToFloat,
  f16ToFloat,
  floatToBf16,
  floatToF16,
  type Shape,
  sizeOf,
  type TensorView,
} from '@frugal/tensor-core';
import type { WasmStorage } from './storage.js';

const arrays = {
  f32: Float32Array,
  bf16: Uint16Array,
  f16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array,
  bool: Uint8Array,
} as const;

/** Elements as they lie in memory: bf16 and f16 as their 16 bits. */
export type Elements = Float32Array | Uint16Array | Int32Array | Int8Array | Uint8Array;
/** The same with bf16 and f16 widened to f32. */
export type Numbers = Float32Array | Int32Array | Int8Array | Uint8Array;

/** Where the first element of a view lies, in bytes. */
export function addressOf({ storage, dtype, offset }: TensorView): number {
  return (storage as WasmStorage).address + offset * arrays[dtype].BYTES_PER_ELEMENT;
}

/** `count` elements from the first one on, sharing memory until the next allocation. */
function span(view: TensorView, count: number): Elements {
  const { buffer } = (view.storage as WasmStorage).heap.memory;
  return new arrays[view.dtype](buffer, addressOf(view), count);
}

/** Elements of a contiguous view, sharing its memory until the next allocation. */
export function elements(view: TensorView): Elements {
  return span(view, sizeOf(view.shape));
}

/** Elements of a contiguous view as numbers; they may share its memory. */
export function numbers(view: TensorView): Numbers {
  const found = elements(view);
  return found instanceof Uint16Array
    ? Float32Array.from(found, view.dtype === 'bf16' ? bf16ToFloat : f16ToFloat)
    : found;
}

/** Lets `compute` fill the elements of a contiguous view; halves are rounded once, from f32. */
export function fill(view: TensorView, compute: (out: Numbers) => void): void {
  const target = elements(view);
  if (!(target instanceof Uint16Array)) {
    compute(target);
    return;
  }
  const wide = new Float32Array(target.length);
  compute(wide);
  const round = view.dtype === 'bf16' ? floatToBf16 : floatToF16;
  for (const [i, value] of wide.entries()) target[i] = round(value);
}

/** Calls `visit` with where each element of a view lies, counted from the first one, in row-major order. */
export function forEachPlace(shape: Shape, strides: readonly number[], visit: (place: number) => void): void {
  const walk = (axis: number, place: number): void => {
    if (axis === shape.length) visit(place);
    else for (let i = 0; i < shape[axis]; i++) walk(axis + 1, place + i * strides[axis]);
  };
  walk(0, 0);
}

/** Elements of any view in row-major order, in memory of their own. */
export function gather(view: TensorView): Elements {
  const { shape, strides, dtype } = view;
  const out = new arrays[dtype](sizeOf(shape));
  if (out.length === 0) return out;
  const reach = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], 1);
  const source = span(view, reach);
  let i = 0;
  forEachPlace(shape, strides, (place) => {
    out[i++] = source[place];
  });
  return out;
}

/** Numbers of a contiguous view repeated along axes of size 1 and missing axes, as if it had the shape `target`. */
export function broadcast(view: TensorView, target: Shape): Numbers {
  const source = numbers(view);
  const size = sizeOf(target);
  if (source.length === size) return source;
  const lead = target.length - view.shape.length;
  const strides = target.map((_, axis) =>
    axis < lead || view.shape[axis - lead] === 1 ? 0 : view.strides[axis - lead],
  );
  const out = source instanceof Float32Array ? new Float32Array(size) : new Int32Array(size);
  let i = 0;
  forEachPlace(target, strides, (place) => {
    out[i++] = source[place];
  });
  return out;
}

/** Sizes before, along and after an axis: element (before, i, after) is number (before · length + i) · inner + after. */
export function aroundAxis(shape: Shape, axis: number): { outer: number; length: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), length: shape[axis], inner: sizeOf(shape.slice(axis + 1)) };
}
