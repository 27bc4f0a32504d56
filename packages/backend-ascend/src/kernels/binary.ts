import type { Kernel, OpName } from '@frugal/tensor-core';
import type { OperationName } from '../abi/operations.js';
import type { Scalar } from '../abi/types.js';
import { asNumbers, type Device, operandOf } from '../device.js';
import type { Family } from './family.js';

type BinaryOp =
  | ('add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'equal' | 'less' | 'lessEqual')
  | 'where';

/** Ops of two tensors that broadcast. */
type Joining = Extract<
  OperationName,
  'Mul' | 'Div' | 'PowTensorTensor' | 'Maximum' | 'Minimum' | 'EqTensor' | 'LtTensor' | 'LeTensor'
>;

/** Sums scale their second operand by `alpha`; whole, so that it fits every type. */
const ONE: Scalar = { number: 1, type: 'i64' };

function broadcasting<N extends OpName>(device: Device, name: Joining): Kernel<N> {
  return ([a, b], [output]) =>
    device.run(name, asNumbers(operandOf(a)), asNumbers(operandOf(b)), operandOf(output));
}

export const binaryKernels: Family<BinaryOp> = (device) => ({
  add: ([a, b], [output]) => device.run('Add', operandOf(a), operandOf(b), ONE, operandOf(output)),
  sub: ([a, b], [output]) => device.run('Sub', operandOf(a), operandOf(b), ONE, operandOf(output)),
  mul: broadcasting(device, 'Mul'),
  div: broadcasting(device, 'Div'),
  pow: broadcasting(device, 'PowTensorTensor'),
  maximum: broadcasting(device, 'Maximum'),
  minimum: broadcasting(device, 'Minimum'),
  equal: broadcasting(device, 'EqTensor'),
  less: broadcasting(device, 'LtTensor'),
  lessEqual: broadcasting(device, 'LeTensor'),
  where: ([condition, a, b], [output]) => {
    const [chosen, other, out] = [a, b, output].map((view) => asNumbers(operandOf(view)));
    device.run('SWhere', operandOf(condition), chosen, other, out);
  },
});
