import type { TensorInfo } from '../backend.js';
import { type DType, isFloating } from '../dtype.js';
import { ArgumentError, DTypeError, ShapeError } from '../errors.js';
import { formatShape, type Shape, sameShape } from '../shape.js';

/** `f32 [2, 3] and i32 [3]`: what messages show of inputs. */
export function describe(inputs: readonly TensorInfo[]): string {
  return inputs.map(({ dtype, shape }) => `${dtype} ${formatShape(shape)}`).join(' and ');
}

export function requireFloat(op: string, inputs: readonly TensorInfo[]): void {
  if (inputs.every(({ dtype }) => isFloating(dtype))) return;
  throw new DTypeError({
    where: op,
    what: 'needs floating-point inputs',
    got: describe(inputs),
    expected: 'f32, bf16 or f16',
    hint: "Convert with cast('f32').",
  });
}

export function requireSameDType(op: string, inputs: readonly TensorInfo[]): void {
  if (inputs.every(({ dtype }) => dtype === inputs[0].dtype)) return;
  throw new DTypeError({
    where: op,
    what: 'inputs have different dtypes',
    got: describe(inputs),
    hint: `Convert one with cast('${inputs[0].dtype}'): dtypes never change silently.`,
  });
}

export function requireDType(op: string, name: string, info: TensorInfo, dtype: DType): void {
  if (info.dtype === dtype) return;
  throw new DTypeError({
    where: op,
    what: `${name} must be ${dtype}`,
    got: describe([info]),
    hint: `Convert with cast('${dtype}').`,
  });
}

/** Refuses a shape; sizes of -1 in `expected` match anything. */
export function requireShape(
  op: string,
  name: string,
  info: TensorInfo,
  expected: Shape,
  all: readonly TensorInfo[],
): void {
  const fits =
    info.shape.length === expected.length && expected.every((n, axis) => n < 0 || n === info.shape[axis]);
  if (fits) return;
  throw new ShapeError({
    where: op,
    what: `${name} does not fit`,
    got: `${describe(all)}, with ${name} ${formatShape(info.shape)}`,
    expected: `[${expected.map((n) => (n < 0 ? 'any' : n)).join(', ')}]`,
  });
}

export function requireRank(op: string, name: string, info: TensorInfo, rank: number): void {
  if (info.shape.length === rank) return;
  throw new ShapeError({
    where: op,
    what: `${name} has the wrong number of axes`,
    got: formatShape(info.shape),
    expected: `${rank} axes`,
  });
}

export function requireMinRank(op: string, name: string, info: TensorInfo, rank: number): void {
  if (info.shape.length >= rank) return;
  throw new ShapeError({
    where: op,
    what: `${name} has too few axes`,
    got: formatShape(info.shape),
    expected: `at least ${rank}`,
  });
}

/** How many of the last axis an op chooses. */
export function requireCount(op: string, x: TensorInfo, k: number): void {
  const length = x.shape[x.shape.length - 1];
  if (Number.isInteger(k) && k >= 1 && k <= length) return;
  throw new ArgumentError({
    where: op,
    what: 'k out of range',
    got: `k = ${k} for ${describe([x])}`,
    expected: `1 to ${length}`,
  });
}

export function requireSameShape(op: string, inputs: readonly TensorInfo[]): void {
  if (inputs.every(({ shape }) => sameShape(shape, inputs[0].shape))) return;
  throw new ShapeError({ where: op, what: 'inputs must have the same shape', got: describe(inputs) });
}

/** The shape without its last axis, as used by ops over the last axis. */
export function rowsOf(shape: Shape): number[] {
  return shape.slice(0, -1);
}
