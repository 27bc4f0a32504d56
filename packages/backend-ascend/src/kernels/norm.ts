import type { TensorView } from '@frugal/tensor-core';
import type { Operand } from '../abi/types.js';
import { type Device, operandOf, viewOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** A tensor of one axis as one row: the gradient takes no fewer than two axes. */
function asRows(operand: Operand): Operand {
  const { shape, strides } = operand;
  return shape.length > 1 ? operand : viewOf(operand, [1, shape[0]], [shape[0] * strides[0], strides[0]]);
}

/** Room for 1 / √(mean(x²) + ε) of each row: f32 whatever the dtype of x. */
function inverseOf(device: Device, { shape }: Operand | TensorView): Operand {
  return device.scratch([...shape.slice(0, -1), 1], 'f32');
}

/** RMSNorm over the last axis. */
export const normKernels: FusedFamily<'rmsNorm' | 'rmsNormBackward' | 'addRmsNorm'> = (device) => ({
  rmsNorm: {
    takes: () => device.has('RmsNorm'),
    run: ([x, weight], [output], { epsilon }) =>
      device.run(
        'RmsNorm',
        ...([operandOf(x), operandOf(weight)] as const),
        ...([epsilon, operandOf(output), inverseOf(device, x)] as const),
      ),
  },

  rmsNormBackward: {
    takes: ([, x, weight]) => device.has('RmsNormGrad') && x.dtype === weight.dtype,
    run: ([gradient, input, weight], [dx, dweight], { epsilon }) => {
      const [g, x, result] = [gradient, input, dx].map((view) => asRows(operandOf(view)));
      const gamma = operandOf(weight);
      const inverse = inverseOf(device, x);
      device.run('RmsNorm', x, gamma, epsilon, device.scratch(x.shape, x.type), inverse);
      // Summed over rows, and given, in f32.
      const sums = device.scratch(weight.shape, 'f32');
      device.run('RmsNormGrad', g, x, inverse, gamma, result, sums);
      device.copy(operandOf(dweight), sums);
    },
  },

  addRmsNorm: {
    takes: () => device.has('AddRmsNorm'),
    run: ([x, y, weight], [sum, output], { epsilon }) => {
      const inverse = inverseOf(device, x);
      const inputs = [operandOf(x), operandOf(y), operandOf(weight)] as const;
      device.run('AddRmsNorm', ...inputs, epsilon, operandOf(output), inverse, operandOf(sum));
    },
  },
});
