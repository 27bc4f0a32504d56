import { operandOf, scalarFor } from '../device.js';
import type { Family } from './family.js';

export const creationKernels: Family<'fill' | 'arange'> = (device) => ({
  fill: (_, [output], { value }) => {
    const number = output.dtype === 'bool' ? Number(value !== 0) : value;
    device.fill(operandOf(output), number);
  },

  arange: (_, [output], { start, step, count }) => {
    const out = operandOf(output);
    if (step === 0) return device.fill(out, start);
    // Half a step before the next element: rounding cannot change the count.
    const [from, to, by] = [start, start + step * (count - 0.5), step];
    if (output.dtype === 'f32' || Number.isInteger(step)) {
      const end = output.dtype === 'f32' ? to : start + step * count;
      device.run('Arange', scalarFor(out.type, from), scalarFor(out.type, end), scalarFor(out.type, by), out);
      return;
    }
    // Whole numbers by a broken step: made as f32 and cut off.
    const numbers = device.scratch(output.shape, 'f32');
    device.run('Arange', scalarFor('f32', from), scalarFor('f32', to), scalarFor('f32', by), numbers);
    device.run('Cast', numbers, 'i32', out);
  },
});
