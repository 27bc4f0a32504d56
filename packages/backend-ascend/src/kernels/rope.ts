import type { RopeAttributes, TensorView } from '@frugal/tensor-core';
import type { Operand } from '../abi/types.js';
import { asBatch, type Device, operandOf, partOf, viewOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** `mode` of CANN's op. */
const HALVES = 0;
const INTERLEAVED = 1;
/** The widest rotated part that it takes. */
const WIDEST = 1024;

/** A table [N, R] with each number for both of its pair: f32 [1, N, 1, 2R]. */
function doubled(device: Device, table: Operand, interleaved: boolean): Operand {
  const [N, R] = table.shape;
  const wide = device.scratch([N, 2 * R], 'f32');
  const strides = interleaved ? [2 * R, 2, 1] : [2 * R, 1, R];
  const [step, next] = table.strides;
  device.copy(viewOf(wide, [N, R, 2], strides), viewOf(table, [N, R, 1], [step, next, 0]));
  return viewOf(wide, [1, N, 1, 2 * R], [N * 2 * R, 2 * R, 2 * R, 1]);
}

function negated(device: Device, table: Operand): Operand {
  const result = device.scratch(table.shape, 'f32');
  device.run('Neg', table, result);
  return result;
}

/** Rotates in f32, as the angles are, and rounds once. */
function rotate(
  device: Device,
  [x, cosine, sine]: readonly TensorView[],
  output: TensorView,
  { interleaved, inverse }: RopeAttributes,
): void {
  const [N, H, D] = x.shape;
  const W = 2 * cosine.shape[1];
  const [from, to, sin] = [operandOf(x), operandOf(output), operandOf(sine)];
  const head = (operand: Operand) => partOf(operand, [0, 0, 0], [N, H, W]);
  if (W < D) {
    const rest = (operand: Operand) => partOf(operand, [0, 0, W], [N, H, D - W]);
    device.copy(rest(to), rest(from));
  }
  if (W === 0) return;
  const isDirect = to.type === 'f32' && W === D;
  const rotated = isDirect ? to : device.scratch([N, H, W], 'f32');
  device.run(
    'RotaryPositionEmbedding',
    asBatch(device.contiguous(device.cast(head(from), 'f32'))),
    doubled(device, operandOf(cosine), interleaved),
    doubled(device, inverse ? negated(device, sin) : sin, interleaved),
    interleaved ? INTERLEAVED : HALVES,
    asBatch(rotated),
  );
  if (!isDirect) device.copy(head(to), rotated);
}

export const ropeKernels: FusedFamily<'rope'> = (device) => ({
  rope: {
    takes: ([, cosine]) => device.has('RotaryPositionEmbedding') && 2 * cosine.shape[1] <= WIDEST,
    run: (inputs, [output], attributes) => rotate(device, inputs, output, attributes),
  },
});
