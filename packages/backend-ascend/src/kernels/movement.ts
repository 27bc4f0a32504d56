import { sizeOf } from '@frugal/tensor-core';
import { operandOf, partOf } from '../device.js';
import type { Family } from './family.js';

/** Tensors that one call joins: more than any model has, below the limit of CANN's op. */
const MOST_PARTS = 64;

export const movementKernels: Family<'copy' | 'concat' | 'pad'> = (device) => ({
  copy: ([x], [output]) => device.copy(operandOf(output), operandOf(x)),

  concat: (inputs, [output], { axis }) => {
    const out = operandOf(output);
    const parts = inputs.filter(({ shape }) => sizeOf(shape) > 0).map(operandOf);
    for (let first = 0, start = 0; first < parts.length; first += MOST_PARTS) {
      const some = parts.slice(first, first + MOST_PARTS);
      const length = some.reduce((sum, { shape }) => sum + shape[axis], 0);
      const place = partOf(
        out,
        out.shape.map((_, i) => (i === axis ? start : 0)),
        out.shape.map((size, i) => (i === axis ? length : size)),
      );
      device.run('Cat', some, axis, place);
      start += length;
    }
  },

  pad: ([x], [output], { before, value }) => {
    const out = operandOf(output);
    device.fill(out, output.dtype === 'bool' ? Number(value !== 0) : value);
    device.copy(partOf(out, before, x.shape), operandOf(x));
  },
});
