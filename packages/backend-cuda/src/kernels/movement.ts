import { read, write } from '../views.js';
import type { Family } from './family.js';

export const movementKernels: Family<'copy' | 'concat' | 'pad'> = (device) => ({
  // Elements never change: a copy is one more handle.
  copy: ([x], [output]) => write(device, output, read(device, x)),

  concat: (inputs, [output], { axis }) => {
    const values = inputs.map((input) => read(device, input));
    write(device, output, device.concat(values, axis));
  },

  pad: ([x], [output], { before, after, value }) => {
    const widths = before.flatMap((width, axis) => [width, after[axis]]);
    const paddings = device.reshape(device.vector(widths), [before.length, 2]);
    const number = device.scalar(output.dtype === 'bool' ? Number(value !== 0) : value, output.dtype);
    write(device, output, device.run('PadV2', [read(device, x), paddings, number]));
  },
});
