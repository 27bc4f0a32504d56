import { type DType, type Shape, type Storage, sizeOf, type TensorView } from '@frugal/tensor-core';

/** A whole storage as one row-major tensor. */
export function contiguousView(shape: Shape, dtype: DType, storage: Storage): TensorView {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  return { shape, dtype, strides, offset: 0, storage };
}

/** Whether the elements of the last axis follow each other. */
export function hasVectors({ shape, strides }: TensorView): boolean {
  const last = shape.length - 1;
  return last < 0 || strides[last] === 1 || shape[last] <= 1;
}
