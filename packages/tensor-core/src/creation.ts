import type { Backend, Storage, TensorInfo } from './backend.js';
import { dispatchOn } from './dispatch.js';
import { bytesPerElement, type DType } from './dtype.js';
import { DTypeError, ShapeError } from './errors.js';
import { encode } from './host-values.js';
import { adoptStorage, retainStorage } from './memory.js';
import { currentBackend } from './registry.js';
import { checkShape, contiguousStrides, formatShape, type Shape, sameShape, sizeOf } from './shape.js';
import { Tensor } from './tensor.js';

export interface CreationOptions {
  readonly dtype?: DType;
  /** Defaults to the current backend. */
  readonly backend?: Backend | undefined;
}

/** Nested arrays of numbers; all rows of one level must be equally long. */
export type NestedNumbers = number | readonly NestedNumbers[];

/**
 * A tensor from numbers. Nested arrays give the shape; for a typed array pass it (default: one axis).
 * dtype defaults to f32, or to the array's own type for Int32Array (i32), Int8Array (i8) and Uint8Array (u8).
 * @throws ShapeError when rows differ in length or the shape does not hold the data
 */
export function tensor(
  data: NestedNumbers | Float32Array | Int32Array | Int8Array | Uint8Array,
  options: CreationOptions & { readonly shape?: Shape } = {},
): Tensor {
  const typed = ArrayBuffer.isView(data);
  const shape = options.shape ?? (typed ? [data.length] : shapeOf(data));
  const values: ArrayLike<number> = typed ? data : flatten(data);
  checkShape('tensor', shape);
  if (values.length !== sizeOf(shape)) {
    throw new ShapeError({
      where: 'tensor',
      what: 'the data does not fill the shape',
      got: `${values.length} values`,
      expected: `${sizeOf(shape)} for shape ${formatShape(shape)}`,
      hint: 'Rows of nested arrays must be equally long.',
    });
  }
  const dtype = options.dtype ?? naturalDType(data);
  return fromBytes(encode(values, dtype), { shape, dtype, backend: options.backend });
}

/** A tensor from row-major little-endian bytes, for example of a checkpoint. The bytes are copied. */
export function fromBytes(
  bytes: Uint8Array,
  { shape, dtype, backend = currentBackend() }: TensorInfo & { readonly backend?: Backend | undefined },
): Tensor {
  checkShape('fromBytes', shape);
  requireDType('fromBytes', backend, dtype);
  const expected = sizeOf(shape) * bytesPerElement(dtype);
  if (bytes.byteLength !== expected) {
    throw new ShapeError({
      where: 'fromBytes',
      what: 'the bytes do not fill the shape',
      got: `${bytes.byteLength} bytes`,
      expected: `${expected} for ${dtype} ${formatShape(shape)}`,
    });
  }
  return new Tensor(adoptStorage(backend.upload(bytes)), [...shape], contiguousStrides(shape), 0, dtype);
}

/**
 * A tensor over part of a storage that is in use already, without a copy: a weight in a mapped file. The storage stays
 * alive as long as the tensor. `byteOffset` must be a multiple of the element size.
 */
export function fromStorage(storage: Storage, byteOffset: number, { shape, dtype }: TensorInfo): Tensor {
  checkShape('fromStorage', shape);
  requireDType('fromStorage', storage.backend, dtype);
  const size = bytesPerElement(dtype);
  const end = byteOffset + sizeOf(shape) * size;
  if (!(byteOffset >= 0 && byteOffset % size === 0 && end <= storage.byteLength)) {
    throw new ShapeError({
      where: 'fromStorage',
      what: 'the tensor does not lie inside the storage, or not at a multiple of its element size',
      got: `bytes ${byteOffset} to ${end} for ${dtype} ${formatShape(shape)}`,
      expected: `within ${storage.byteLength} bytes`,
    });
  }
  return new Tensor(retainStorage(storage), [...shape], contiguousStrides(shape), byteOffset / size, dtype);
}

/** A tensor of one repeated value, with the shape and dtype of `like`. */
export function fill(like: TensorInfo, value: number, backend?: Backend): Tensor {
  return dispatchOn(backend, 'fill', { shape: [...like.shape], dtype: like.dtype, value });
}

export function zeros(shape: Shape, { dtype = 'f32', backend }: CreationOptions = {}): Tensor {
  return fill({ shape, dtype }, 0, backend);
}

export function ones(shape: Shape, { dtype = 'f32', backend }: CreationOptions = {}): Tensor {
  return fill({ shape, dtype }, 1, backend);
}

/** `count` numbers: start, start + step, … */
export function arange(
  count: number,
  {
    start = 0,
    step = 1,
    dtype = 'i32',
    backend,
  }: { start?: number; step?: number; dtype?: 'f32' | 'i32'; backend?: Backend } = {},
): Tensor {
  return dispatchOn(backend, 'arange', { start, step, count, dtype });
}

function flatten(data: NestedNumbers): number[] {
  return typeof data === 'number' ? [data] : data.flatMap(flatten);
}

function shapeOf(data: NestedNumbers): number[] {
  if (typeof data === 'number') return [];
  if (data.length === 0) return [0];
  const [shape, ...others] = data.map(shapeOf);
  const other = others.find((row) => !sameShape(row, shape));
  if (!other) return [data.length, ...shape];
  throw new ShapeError({
    where: 'tensor',
    what: 'rows of nested arrays differ in shape',
    got: `${formatShape(shape)} and ${formatShape(other)}`,
    expected: 'equally long rows',
  });
}

function naturalDType(data: unknown): DType {
  if (data instanceof Int32Array) return 'i32';
  if (data instanceof Int8Array) return 'i8';
  return data instanceof Uint8Array ? 'u8' : 'f32';
}

function requireDType(where: string, backend: Backend, dtype: DType): void {
  if (backend.capabilities.dtypes.has(dtype)) return;
  throw new DTypeError({
    where,
    what: `the ${backend.name} backend has no ${dtype}`,
    expected: [...backend.capabilities.dtypes].join(', '),
  });
}
