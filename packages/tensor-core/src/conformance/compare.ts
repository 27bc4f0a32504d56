import type { DType } from '../dtype.js';
import { formatShape, type Shape } from '../shape.js';
import type { Tolerance } from './tolerance.js';

/** Numbers read from a tensor, with what is needed to name one of them. */
export interface Values {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly numbers: ArrayLike<number>;
}

/** Null when all numbers agree; else one sentence about the worst one. NaN equals NaN, -0 equals 0. */
export function difference(actual: Values, expected: Values, tolerance: Tolerance): string | null {
  const what = `${expected.dtype} ${formatShape(expected.shape)}`;
  if (actual.dtype !== expected.dtype || actual.shape.join() !== expected.shape.join()) {
    return `got ${actual.dtype} ${formatShape(actual.shape)}; expected ${what}`;
  }
  const scale = tolerance.scale === 'one' ? 1 : largestFinite(expected.numbers);
  let worst = -1;
  let worstExcess = 0;
  let count = 0;
  for (let i = 0; i < expected.numbers.length; i++) {
    const excess = excessOf(actual.numbers[i], expected.numbers[i], tolerance, scale);
    if (excess <= 1) continue;
    count++;
    if (excess > worstExcess) {
      worst = i;
      worstExcess = excess;
    }
  }
  if (worst < 0) return null;
  const at = formatShape(position(worst, expected.shape));
  return (
    `${count} of ${expected.numbers.length} elements of ${what} differ; worst at ${at}: ` +
    `got ${actual.numbers[worst]}, expected ${expected.numbers[worst]}`
  );
}

/** The difference in units of what is allowed. */
function excessOf(actual: number, expected: number, tolerance: Tolerance, scale: number): number {
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return 0;
  if (!Number.isFinite(expected) || !Number.isFinite(actual)) return Number.POSITIVE_INFINITY;
  const allowed = tolerance.absolute * scale + tolerance.relative * Math.abs(expected);
  return allowed === 0 ? Number.POSITIVE_INFINITY : Math.abs(actual - expected) / allowed;
}

function largestFinite(numbers: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < numbers.length; i++) {
    const magnitude = Math.abs(numbers[i]);
    if (magnitude > largest && magnitude < Number.POSITIVE_INFINITY) largest = magnitude;
  }
  return largest;
}

function position(index: number, shape: Shape): number[] {
  const at = new Array<number>(shape.length);
  for (let axis = shape.length - 1, rest = index; axis >= 0; axis--) {
    at[axis] = rest % shape[axis];
    rest = Math.floor(rest / shape[axis]);
  }
  return at;
}
