import { sizeOf } from '@frugal/tensor-core';
import { operandOf } from '../device.js';
import type { Family } from './family.js';

export const mutationKernels: Family<'assign' | 'writeRows'> = (device) => ({
  assign: ([target, value]) => device.copy(operandOf(target), operandOf(value)),

  writeRows: ([target, indices, rows]) => {
    if (sizeOf(rows.shape) === 0) return;
    const place = operandOf(target);
    device.run('InplaceIndexCopy', place, 0, operandOf(indices), device.cast(operandOf(rows), place.type));
  },
});
