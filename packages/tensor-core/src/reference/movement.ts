import { sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { rawInPlace, readNumbers, readRaw, splitAtAxis, writeNumbers, writeRaw } from './values.js';

export const movementKernels = defineKernels<'copy' | 'concat' | 'pad'>({
  copy: ([x], [output]) => writeRaw(output, readRaw(x)),

  concat: (inputs, [output], { axis }) => {
    const out = rawInPlace(output);
    const { length, inner } = splitAtAxis(output.shape, axis);
    let start = 0;
    for (const input of inputs) {
      const values = readRaw(input);
      const block = input.shape[axis] * inner;
      for (let from = 0, to = start; from < values.length; from += block, to += length * inner) {
        out.set(values.subarray(from, from + block), to);
      }
      start += block;
    }
  },

  pad: ([x], [output], { before, value }) => {
    const values = readNumbers(x);
    const rank = x.shape.length;
    writeNumbers(output, (out) => {
      out.fill(value);
      const position = new Array<number>(rank).fill(0);
      for (let i = 0; i < sizeOf(x.shape); i++) {
        let at = 0;
        for (let axis = 0; axis < rank; axis++) at = at * output.shape[axis] + position[axis] + before[axis];
        out[at] = values[i];
        for (let axis = rank - 1; axis >= 0 && ++position[axis] === x.shape[axis]; axis--) position[axis] = 0;
      }
    });
  },
});
