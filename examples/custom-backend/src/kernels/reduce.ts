import { sizeOf, type TensorView } from '@frugal/tensor-core';
import { aroundAxis, fill, forEachPlace, type Numbers, numbers } from '../views.js';
import type { Family } from './machine.js';

interface Groups {
  readonly values: Numbers;
  /** Where the first number of the group of each output element lies. */
  readonly starts: Int32Array;
  /** Where the numbers of a group lie, counted from its first one. */
  readonly places: Int32Array;
}

function groupsOf(x: TensorView, axes: readonly number[]): Groups {
  const places = (chosen: readonly number[]) => {
    const shape = chosen.map((axis) => x.shape[axis]);
    const strides = chosen.map((axis) => sizeOf(x.shape.slice(axis + 1)));
    const found = new Int32Array(sizeOf(shape));
    let i = 0;
    if (found.length > 0)
      forEachPlace(shape, strides, (place) => {
        found[i++] = place;
      });
    return found;
  };
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  return { values: numbers(x), starts: places(kept), places: places(axes) };
}

/** NaN is larger than every number. */
export function exceeds(a: number, b: number): boolean {
  return a > b || (Number.isNaN(a) && !Number.isNaN(b));
}

/** Position of the largest number of a group, the first one of equals. */
function largestOf({ values, places }: Groups, start: number): number {
  let best = 0;
  for (let i = 1; i < places.length; i++)
    if (exceeds(values[start + places[i]], values[start + places[best]])) best = i;
  return best;
}

export const reduceKernels: Family<'sum' | 'max' | 'argMax' | 'cumulativeSum'> = () => ({
  sum: ([x], [output], { axes }) => {
    const { values, starts, places } = groupsOf(x, axes);
    fill(output, (out) => {
      for (let o = 0; o < out.length; o++) {
        let sum = 0;
        for (let i = 0; i < places.length; i++) sum += values[starts[o] + places[i]];
        out[o] = sum;
      }
    });
  },

  max: ([x], [output], { axes }) => {
    const groups = groupsOf(x, axes);
    fill(output, (out) => {
      for (let o = 0; o < out.length; o++) {
        const start = groups.starts[o];
        out[o] = groups.values[start + groups.places[largestOf(groups, start)]];
      }
    });
  },

  argMax: ([x], [output], { axis }) => {
    const groups = groupsOf(x, [axis]);
    fill(output, (out) => {
      for (let o = 0; o < out.length; o++) out[o] = largestOf(groups, groups.starts[o]);
    });
  },

  cumulativeSum: ([x], [output], { axis }) => {
    const values = numbers(x);
    const { length, inner } = aroundAxis(x.shape, axis);
    fill(output, (out) => {
      const sums = new Float64Array(inner);
      for (let row = 0; row * inner < out.length; row++) {
        if (row % length === 0) sums.fill(0);
        for (let n = 0; n < inner; n++) {
          sums[n] += values[row * inner + n];
          out[row * inner + n] = sums[n];
        }
      }
    });
  },
});
