import { sizeOf } from '@frugal/tensor-core';
import { elements, fill, numbers } from '../views.js';
import type { Family } from './machine.js';

export const mutationKernels: Family<'assign' | 'writeRows'> = () => ({
  assign: ([target, value]) => elements(target).set(elements(value)),

  writeRows: ([target, indices, rows]) => {
    const width = sizeOf(target.shape.slice(1));
    const source = numbers(rows);
    for (const [i, row] of elements(indices).entries()) {
      const place = { ...target, shape: [width], offset: target.offset + row * width };
      fill(place, (out) => out.set(source.subarray(i * width, (i + 1) * width)));
    }
  },
});
