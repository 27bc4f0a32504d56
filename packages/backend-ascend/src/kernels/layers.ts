import type { Kernel } from '@frugal/tensor-core';
import { type Device, operandOf } from '../device.js';
import type { Family } from './family.js';

function overLastAxis(device: Device, name: 'Softmax' | 'LogSoftmax'): Kernel<'softmax' | 'logSoftmax'> {
  return ([x], [output]) => device.run(name, operandOf(x), x.shape.length - 1, operandOf(output));
}

type LayerOp = 'softmax' | 'softmaxBackward' | 'logSoftmax' | 'silu' | 'gelu' | 'rmsNorm';

/** Fused ops that CANN has with the meaning of core's; core composes the others. */
export const layerKernels: Family<LayerOp> = (device) => ({
  softmax: overLastAxis(device, 'Softmax'),
  logSoftmax: overLastAxis(device, 'LogSoftmax'),
  softmaxBackward: ([gradient, y], [output]) =>
    device.run('SoftmaxBackward', operandOf(gradient), operandOf(y), y.shape.length - 1, operandOf(output)),
  silu: ([x], [output]) => device.run('Silu', operandOf(x), operandOf(output)),
  gelu: ([x], [output], { approximate }) =>
    device.run('GeluV2', operandOf(x), approximate === 'tanh' ? 1 : 0, operandOf(output)),
  rmsNorm: ([x, weight], [output], { epsilon }) => {
    // One number per row, f32 whatever the type of x.
    const inverse = device.scratch([...x.shape.slice(0, -1), 1], 'f32');
    device.run('RmsNorm', operandOf(x), operandOf(weight), epsilon, operandOf(output), inverse);
  },
});
