import type { Kernel } from '@frugal/tensor-core';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';

function overLastAxis(device: Device, name: string): Kernel<'softmax' | 'logSoftmax'> {
  return ([x], [output]) => {
    const rows = device.run(name, [device.cast(read(device, x), 'f32')]);
    write(device, output, device.cast(rows, output.dtype));
  };
}

export const softmaxKernels: Family<'softmax' | 'logSoftmax'> = (device) => ({
  softmax: overLastAxis(device, 'Softmax'),
  logSoftmax: overLastAxis(device, 'LogSoftmax'),
});
