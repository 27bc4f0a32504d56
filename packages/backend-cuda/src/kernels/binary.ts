import type { Kernel, OpName } from '@frugal/tensor-core';
import type { TfType } from '../binding.js';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';

type BinaryOp =
  | ('add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'equal' | 'less' | 'lessEqual')
  | 'where';

/** What operands are computed in, where not in their own type; results are rounded once. */
type Wider = { readonly [type in TfType]?: TfType };

const halves: Wider = { bf16: 'f32', f16: 'f32' };
const small: Wider = { i8: 'i32', u8: 'i32', bool: 'i32' };

function broadcasting<N extends OpName>(device: Device, name: string, wider: Wider): Kernel<N> {
  return ([a, b], [output]) => {
    const type = wider[a.dtype];
    const operands = [read(device, a), read(device, b)];
    const result = device.run(name, type ? operands.map((value) => device.cast(value, type)) : operands);
    // Whole numbers wrap: the lowest bits stay.
    write(device, output, device.cast(result, output.dtype));
  };
}

export const binaryKernels: Family<BinaryOp> = (device) => ({
  add: broadcasting(device, 'AddV2', { ...halves, i8: 'i32' }),
  sub: broadcasting(device, 'Sub', { ...halves, i8: 'i32' }),
  mul: broadcasting(device, 'Mul', { ...halves, i8: 'i32' }),
  div: broadcasting(device, 'RealDiv', halves),
  pow: broadcasting(device, 'Pow', halves),
  maximum: broadcasting(device, 'Maximum', small),
  minimum: broadcasting(device, 'Minimum', small),
  equal: broadcasting(device, 'Equal', {}),
  less: broadcasting(device, 'Less', small),
  lessEqual: broadcasting(device, 'LessEqual', small),
  where: (inputs, [output]) => {
    write(
      device,
      output,
      device.run(
        'SelectV2',
        inputs.map((input) => read(device, input)),
      ),
    );
  },
});
