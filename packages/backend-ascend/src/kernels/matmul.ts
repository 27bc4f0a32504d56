import { operandOf } from '../device.js';
import type { Family } from './family.js';

/** Chips whose matrix unit takes no f32: it is rounded there. */
const ROUNDING_CHIPS = /^Ascend(310|910A|910B$|910Pro|910Premium)/;

/** `cubeMathType`: products in the type of the operands, or f32 rounded to what the chip has. */
const KEEP_TYPE = 0;
const ALLOW_ROUNDING = 1;

export const matmulKernels: Family<'matmul'> = (device) => {
  const cubeMathType = ROUNDING_CHIPS.test(device.soc) ? ALLOW_ROUNDING : KEEP_TYPE;
  return {
    // Transposed factors are views with swapped strides: CANN copies nothing for them.
    matmul: ([a, b], [output]) => {
      const out = operandOf(output);
      if (a.shape[a.shape.length - 1] === 0) return device.fill(out, 0);
      if (a.dtype === output.dtype)
        return device.run('Matmul', operandOf(a), operandOf(b), out, cubeMathType);
      const product = device.scratch(output.shape, 'f32');
      const [left, right] = [a, b].map((view) => device.cast(operandOf(view), 'f32'));
      device.run('Matmul', left, right, product, cubeMathType);
      device.copy(out, product);
    },
  };
};
