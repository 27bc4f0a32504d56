import { bytesPerElement, isContiguous, sizeOf, type TensorView } from '@frugal/tensor-core';
import { tfTypes, type Value } from './binding.js';
import type { Device } from './device.js';
import type { CudaStorage } from './storage.js';
import { fromHost } from './transfer.js';

const readAttributes = new Map<number, readonly { name: string; type: number; value: number }[]>();

/** All elements of a view's storage, in whatever shape they were written. */
export function wholeValue(device: Device, { storage, dtype }: TensorView): Value {
  const place = storage as CudaStorage;
  if (place.variable) {
    const type = place.variable.dtype;
    const attributes = readAttributes.get(type) ?? [{ name: 'dtype', type: 4, value: type }];
    readAttributes.set(type, attributes);
    return device.run('ReadVariableOp', [place.variable.handle], attributes);
  }
  if (place.value) return place.value;
  const made = device.frame(() => {
    const bytes = place.bytes ?? new Uint8Array(place.byteLength);
    return device.take(fromHost(device, bytes, dtype));
  });
  place.bytes = null;
  place.value = made;
  return made;
}

/** The elements of a view in its shape, row-major. */
export function read(device: Device, view: TensorView): Value {
  const { shape, strides, offset } = view;
  const whole = wholeValue(device, view);
  if (!isContiguous(shape, strides)) return readStrided(device, whole, view);
  const [size, total] = [sizeOf(shape), sizeOf(whole.shape)];
  if (size === total) return device.reshape(whole, shape);
  if (size === 0) return device.fill(shape, 0, view.dtype);
  const part = device.slice(device.reshape(whole, [total]), [offset], [size]);
  return device.reshape(part, shape);
}

interface Axis {
  readonly axis: number;
  readonly size: number;
  readonly stride: number;
}

/**
 * Axes that lie in memory in any order, with gaps, or are repeated (stride 0): the storage is cut like a box whose sides
 * are the quotients of the strides, then its axes are put in order and repeated.
 */
function readStrided(device: Device, whole: Value, view: TensorView): Value {
  const { shape, strides, offset } = view;
  if (sizeOf(shape) === 0) return device.fill(shape, 0, view.dtype);
  const axes = shape
    .map((size, axis) => ({ axis, size, stride: strides[axis] }))
    .filter(({ size, stride }) => size > 1 && stride !== 0)
    .sort((a, b) => b.stride - a.stride);
  const box = cutBox(axes, offset, sizeOf(whole.shape));
  const sorted = box
    ? device.slice(
        device.reshape(takeFront(device, whole, sizeOf(box.sides)), box.sides),
        box.begin,
        box.sizes,
      )
    : gather(device, whole, axes, offset);
  const inMemory = device.reshape(
    sorted,
    axes.map(({ size }) => size),
  );
  const inOrder = axes.map(({ axis }) => axis).sort((a, b) => a - b);
  const ordered = device.transpose(
    inMemory,
    inOrder.map((axis) => axes.findIndex((other) => other.axis === axis)),
  );
  const single = shape.map((size, axis) => (strides[axis] === 0 || size === 1 ? 1 : size));
  const aligned = device.reshape(ordered, single);
  return single.every((size, axis) => size === shape[axis])
    ? aligned
    : device.run('BroadcastTo', [aligned, device.vector(shape)]);
}

interface Box {
  readonly sides: readonly number[];
  readonly begin: readonly number[];
  readonly sizes: readonly number[];
}

/** Null when the axes overlap or their strides do not divide each other. */
function cutBox(axes: readonly Axis[], offset: number, total: number): Box | null {
  const steps = [...axes.map(({ stride }) => stride), 1];
  const sizes = [...axes.map(({ size }) => size), 1];
  const rows = Math.floor(total / steps[0]);
  const sides = [rows, ...steps.slice(1).map((step, i) => steps[i] / step)];
  if (!sides.every(Number.isInteger)) return null;
  const begin: number[] = [];
  let rest = offset;
  for (const step of steps) {
    begin.push(Math.floor(rest / step));
    rest %= step;
  }
  return sizes.every((size, i) => begin[i] + size <= sides[i]) ? { sides, begin, sizes } : null;
}

function takeFront(device: Device, whole: Value, count: number): Value {
  const total = sizeOf(whole.shape);
  return count === total ? whole : device.slice(device.reshape(whole, [total]), [0], [count]);
}

/** Element by element, for strides that nothing in core makes. */
function gather(device: Device, whole: Value, axes: readonly Axis[], offset: number): Value {
  const shape = axes.map(({ size }) => size);
  const indices = new Int32Array(sizeOf(shape)).fill(offset);
  let inner = indices.length;
  for (const { size, stride } of axes) {
    inner /= size;
    for (let i = 0; i < indices.length; i++) indices[i] += (Math.floor(i / inner) % size) * stride;
  }
  const flat = device.reshape(whole, [sizeOf(whole.shape)]);
  return device.run('GatherV2', [flat, device.create(shape, 'i32', indices), device.scalar(0, 'i32')]);
}

/** Makes `value` the elements of a contiguous view. */
export function write(device: Device, view: TensorView, value: Value): void {
  if (value.dtype !== tfTypes[view.dtype])
    throw new TypeError(`a kernel made type ${value.dtype} of ${view.dtype}`);
  const place = view.storage as CudaStorage;
  // The storage may hold more than the view: what lies around it stays.
  const total = place.byteLength / bytesPerElement(view.dtype);
  const taken = device.take(total === sizeOf(view.shape) ? value : patched(device, view, value, total));
  release(device, place);
  place.value = taken;
}

function patched(device: Device, view: TensorView, value: Value, total: number): Value {
  const whole = device.reshape(wholeValue(device, view), [total]);
  const size = sizeOf(view.shape);
  const end = view.offset + size;
  return device.concat(
    [
      device.slice(whole, [0], [view.offset]),
      device.reshape(value, [size]),
      device.slice(whole, [end], [total - end]),
    ],
    0,
  );
}

/** Gives up what a storage holds. */
export function release(device: Device, place: CudaStorage): void {
  if (place.value) device.delete(place.value);
  if (place.variable) device.delete(place.variable.handle);
  place.value = null;
  place.variable = null;
  place.bytes = null;
}
