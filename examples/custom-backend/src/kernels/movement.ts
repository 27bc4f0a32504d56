import { contiguousStrides, sizeOf } from '@frugal/tensor-core';
import { elements, fill, forEachPlace, gather, numbers } from '../views.js';
import type { Family } from './machine.js';

export const movementKernels: Family<'copy' | 'concat' | 'pad'> = () => ({
  // The only kernel that takes any strides: core calls it for the inputs of the others.
  copy: ([x], [output]) => elements(output).set(gather(x)),

  concat: (inputs, [output], { axis }) => {
    const out = elements(output);
    const inner = sizeOf(output.shape.slice(axis + 1));
    const width = output.shape[axis] * inner;
    let start = 0;
    for (const input of inputs) {
      const part = input.shape[axis] * inner;
      const source = elements(input);
      for (let row = 0; row * part < source.length; row++)
        out.set(source.subarray(row * part, (row + 1) * part), row * width + start);
      start += part;
    }
  },

  pad: ([x], [output], { before, value }) => {
    const source = numbers(x);
    const strides = contiguousStrides(output.shape);
    const first = before.reduce((sum, count, axis) => sum + count * strides[axis], 0);
    fill(output, (out) => {
      out.fill(value);
      let i = 0;
      if (source.length > 0)
        forEachPlace(x.shape, strides, (place) => {
          out[first + place] = source[i++];
        });
    });
  },
});
