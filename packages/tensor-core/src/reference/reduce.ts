import type { TensorView } from '../backend.js';
import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import {
  type NumberArray,
  readFloats,
  readNumbers,
  splitAtAxis,
  writeFloats,
  writeNumbers,
} from './values.js';

/** The numbers of each output element one after the other: [..., reduced axes]. */
function readGroups(
  x: TensorView,
  axes: readonly number[],
): { readonly values: NumberArray; readonly length: number } {
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  const shape = order.map((axis) => x.shape[axis]);
  const strides = order.map((axis) => x.strides[axis]);
  return { values: readNumbers({ ...x, shape, strides }), length: sizeOf(axes.map((axis) => x.shape[axis])) };
}

/** Order of numbers for max, argMax, sort and topK: NaN is larger than everything, as in PyTorch and NumPy. */
export function isGreater(a: number, b: number): boolean {
  return a > b || (Number.isNaN(a) && !Number.isNaN(b));
}

export const reduceKernels = defineKernels<'sum' | 'max' | 'argMax' | 'cumulativeSum' | 'sumOfSquares'>({
  sum: ([x], [output], { axes }) => {
    const { values, length } = readGroups(x, axes);
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) {
        let sum = 0;
        for (let k = i * length; k < (i + 1) * length; k++) sum += values[k];
        out[i] = sum;
      }
    });
  },

  max: ([x], [output], { axes }) => {
    const { values, length } = readGroups(x, axes);
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) {
        let largest = values[i * length];
        for (let k = i * length + 1; k < (i + 1) * length; k++)
          if (isGreater(values[k], largest)) largest = values[k];
        out[i] = largest;
      }
    });
  },

  argMax: ([x], [output], { axis }) => {
    const { values, length } = readGroups(x, [axis]);
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) {
        let best = 0;
        for (let k = 1; k < length; k++)
          if (isGreater(values[i * length + k], values[i * length + best])) best = k;
        out[i] = best;
      }
    });
  },

  cumulativeSum: ([x], [output], { axis }) => {
    const values = readNumbers(x);
    const { outer, length, inner } = splitAtAxis(x.shape, axis);
    writeNumbers(output, (out) => {
      for (let o = 0; o < outer; o++) {
        for (let n = 0; n < inner; n++) {
          let sum = 0;
          for (let i = 0; i < length; i++) {
            const at = (o * length + i) * inner + n;
            sum += values[at];
            out[at] = sum;
          }
        }
      }
    });
  },

  sumOfSquares: (inputs, [output]) => {
    let sum = 0;
    for (const input of inputs) for (const value of readFloats(input)) sum += value * value;
    writeFloats(output, (out) => out.fill(sum));
  },
});
