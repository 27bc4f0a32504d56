import type { Backend } from '../backend.js';
import { fromBytes } from '../creation.js';
import { dispatch, run } from '../dispatch.js';
import { bytesPerElement } from '../dtype.js';
import { encode } from '../host-values.js';
import type { OpSpecs } from '../ops/specs.js';
import { referenceBackend } from '../reference/index.js';
import { scope } from '../scope.js';
import { contiguousStrides, type Shape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import type { ConformanceCase, Layout, ValueRange } from './case.js';
import { packedMatrix } from './packed-matrix.js';
import { streamOf } from './stream.js';

function numbers(
  range: Exclude<ValueRange, { kind: 'bytes' | 'packed' | 'forward' }>,
  count: number,
  random: () => number,
): ArrayLike<number> {
  const values = new Float64Array(count);
  switch (range.kind) {
    case 'uniform':
      for (let i = 0; i < count; i++) values[i] = range.low + (range.high - range.low) * random();
      return values;
    case 'integers':
      for (let i = 0; i < count; i++) values[i] = range.low + Math.floor((range.high - range.low) * random());
      return values;
    case 'list':
      for (let i = 0; i < count; i++) values[i] = range.list[i % range.list.length];
      return values;
    case 'distinct': {
      const order = Array.from({ length: count }, (_, i) => i);
      for (let i = count - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [order[i], order[j]] = [order[j], order[i]];
      }
      return order.map((rank) => 0.1 * (rank - Math.floor(count / 2)) + 0.05);
    }
  }
}

/** The logical elements of input `index`, row-major, as bytes. */
function inputBytes(conformanceCase: ConformanceCase, index: number): Uint8Array {
  const { shape, dtype, values } = conformanceCase.inputs[index];
  if (values.kind === 'bytes') return values.bytes;
  if (values.kind === 'packed') return packedBytes(values);
  if (values.kind === 'forward') return forwardBytes(conformanceCase, values);
  return encode(numbers(values, sizeOf(shape), streamOf(`${conformanceCase.name} ${index}`)), dtype);
}

function packedBytes({ format, rows, columns, part }: Extract<ValueRange, { kind: 'packed' }>): Uint8Array {
  const { buffer, byteOffset, byteLength } = packedMatrix(format, rows, columns)[part];
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function forwardBytes(
  conformanceCase: ConformanceCase,
  { op, inputs, output }: Extract<ValueRange, { kind: 'forward' }>,
): Uint8Array {
  const reference = referenceBackend();
  return scope(() => {
    const tensors = inputs.map((index) => buildInput(conformanceCase, index, reference).look());
    return reference.readSync!(
      dispatch(op, tensors, conformanceCase.attributes as OpSpecs[typeof op])[output],
    );
  });
}

interface StoredLayout {
  /** Shape of the tensor that is uploaded. */
  readonly shape: Shape;
  /** Where the logical element at index 0 … lies in it, in elements. */
  readonly strides: readonly number[];
  readonly offset: number;
  /** Makes the logical tensor from the uploaded one. */
  look(stored: Tensor): Tensor;
}

function storedLayout(shape: Shape, layout: Layout): StoredLayout {
  const rank = shape.length;
  const plain = { shape, strides: contiguousStrides(shape), offset: 0, look: (stored: Tensor) => stored };
  if (layout === 'plain' || rank === 0 || (layout === 'transposed' && rank < 2)) return plain;
  if (layout === 'transposed') {
    const swap = <T>(items: readonly T[]) => [...items.slice(0, -2), items[rank - 1], items[rank - 2]];
    const stored = swap(shape);
    return { shape: stored, strides: swap(contiguousStrides(stored)), offset: 0, look: (t) => t.transpose() };
  }
  if (layout === 'expanded') {
    const stored = [1, ...shape.slice(1)];
    const strides = [0, ...contiguousStrides(stored).slice(1)];
    return { shape: stored, strides, offset: 0, look: (t) => t.expand(...shape) };
  }
  const stored = shape.map((n, axis) => (layout === 'sliced' || axis === 0 ? n + 3 : n));
  const strides = contiguousStrides(stored);
  const starts = shape.map((_, axis): number => (layout === 'sliced' || axis === 0 ? 2 : 0));
  return {
    shape: stored,
    strides,
    offset: starts.reduce((sum, start, axis) => sum + start * strides[axis], 0),
    look: (t) => run('slice', [t], { starts, sizes: shape }),
  };
}

/** Calls `visit(i, at)` with the stored position `at` of each logical element i, row-major. */
function eachElement(
  { shape, strides, offset }: { shape: Shape; strides: readonly number[]; offset: number },
  visit: (i: number, at: number) => void,
): void {
  const sizes = contiguousStrides(shape);
  for (let i = 0; i < sizeOf(shape); i++) {
    let at = offset;
    for (let axis = 0; axis < shape.length; axis++)
      at += (Math.floor(i / sizes[axis]) % shape[axis]) * strides[axis];
    visit(i, at);
  }
}

/** One input on a backend: the uploaded tensor, and the view of it that the op gets. */
export interface BuiltInput {
  readonly stored: Tensor;
  look(): Tensor;
}

/** Uploads an input in its layout. What lies outside the view is filled with 0x7f bytes, so that reading it shows. */
export function buildInput(conformanceCase: ConformanceCase, index: number, backend: Backend): BuiltInput {
  const spec = conformanceCase.inputs[index];
  const bytes = inputBytes(conformanceCase, index);
  const { shape, strides, offset, look } = storedLayout(spec.shape, spec.layout);
  const width = bytesPerElement(spec.dtype);
  if (spec.layout === 'plain') {
    const stored = fromBytes(bytes, { shape, dtype: spec.dtype, backend });
    return { stored, look: () => stored };
  }
  const laidOut = new Uint8Array(sizeOf(shape) * width).fill(spec.dtype === 'bool' ? 1 : 0x7f);
  eachElement({ shape: spec.shape, strides, offset }, (i, at) => {
    laidOut.set(bytes.subarray(i * width, (i + 1) * width), at * width);
  });
  const stored = fromBytes(laidOut, { shape, dtype: spec.dtype, backend });
  return { stored, look: () => look(stored) };
}
