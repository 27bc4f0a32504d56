import type { Kernel } from '@frugal/tensor-core';
import { type Device, operandOf } from '../device.js';
import type { Family } from './family.js';

function overLastAxis(device: Device, name: 'Softmax' | 'LogSoftmax'): Kernel<'softmax' | 'logSoftmax'> {
  return ([x], [output]) => device.run(name, operandOf(x), x.shape.length - 1, operandOf(output));
}

type LayerOp = 'softmax' | 'softmaxBackward' | 'logSoftmax' | 'silu' | 'gelu';

/** Fused ops of one tensor that every CANN has with the meaning of core's. */
export const layerKernels: Family<LayerOp> = (device) => ({
  softmax: overLastAxis(device, 'Softmax'),
  logSoftmax: overLastAxis(device, 'LogSoftmax'),
  softmaxBackward: ([gradient, y], [output]) =>
    device.run('SoftmaxBackward', operandOf(gradient), operandOf(y), y.shape.length - 1, operandOf(output)),
  silu: ([x], [output]) => device.run('Silu', operandOf(x), operandOf(output)),
  gelu: ([x], [output], { approximate }) =>
    device.run('GeluV2', operandOf(x), approximate === 'tanh' ? 1 : 0, operandOf(output)),
});
