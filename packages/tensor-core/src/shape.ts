import { AxisError, ShapeError } from './errors.js';

export type Shape = readonly number[];

/** Number of elements; 1 for a scalar (rank 0). */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let axis = 0; axis < shape.length; axis++) size *= shape[axis];
  return size;
}

/** Row-major strides in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** True when elements lie row-major without gaps. Axes of size 1 may have any stride. */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let axis = 0; axis < a.length; axis++) if (a[axis] !== b[axis]) return false;
  return true;
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** NumPy broadcasting of two shapes; null when they do not fit. */
export function broadcastShapes(a: Shape, b: Shape): number[] | null {
  const rank = Math.max(a.length, b.length);
  const result = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const left = i <= a.length ? a[a.length - i] : 1;
    const right = i <= b.length ? b[b.length - i] : 1;
    if (left !== right && left !== 1 && right !== 1) return null;
    result[rank - i] = left === 1 ? right : left;
  }
  return result;
}

/** Strides that read a tensor of `shape` as if it had the broadcast shape `target` (0 along repeated axes). */
export function broadcastStrides(shape: Shape, strides: readonly number[], target: Shape): number[] {
  const lead = target.length - shape.length;
  return target.map((size, axis) =>
    axis < lead || (shape[axis - lead] === 1 && size !== 1) ? 0 : strides[axis - lead],
  );
}

/** Turns a possibly negative axis into 0..rank-1. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  const normalized = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || normalized < 0 || normalized >= rank) {
    throw new AxisError({
      where,
      what: 'axis out of range',
      got: `axis ${axis} for a tensor of rank ${rank}`,
      expected: rank === 0 ? 'no axis: the tensor is a scalar' : `an integer from ${-rank} to ${rank - 1}`,
    });
  }
  return normalized;
}

/** Normalizes, sorts and de-duplicates axes; `undefined` means all. */
export function normalizeAxes(
  where: string,
  axes: number | readonly number[] | undefined,
  rank: number,
): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  const list = typeof axes === 'number' ? [axes] : axes;
  return [...new Set(list.map((axis) => normalizeAxis(where, axis, rank)))].sort((a, b) => a - b);
}

export function checkShape(where: string, shape: Shape): void {
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ShapeError({
        where,
        what: 'a shape must hold non-negative integers',
        got: formatShape(shape),
        hint: 'Check the sizes that were computed for this tensor.',
      });
    }
  }
}

/** Fills in one -1 of a reshape target. */
export function resolveReshape(from: Shape, to: Shape): number[] {
  const size = sizeOf(from);
  const unknown = to.indexOf(-1);
  const resolved = [...to];
  if (unknown >= 0) {
    const rest = to.reduce((product, n, axis) => (axis === unknown ? product : product * n), 1);
    resolved[unknown] = rest === 0 ? 0 : size / rest;
  }
  if (sizeOf(resolved) !== size || resolved.some((n) => !Number.isInteger(n) || n < 0)) {
    throw new ShapeError({
      where: 'reshape',
      what: 'the number of elements changes',
      got: `${formatShape(from)} (${size} elements) to ${formatShape(to)}`,
      expected: `a shape of ${size} elements, with at most one -1`,
    });
  }
  return resolved;
}
