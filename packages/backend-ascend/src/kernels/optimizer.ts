import type { AdamWAttributes } from '@frugal/tensor-core';
import { sizeOf, type TensorView } from '@frugal/tensor-core';
import type { Operand } from '../abi/types.js';
import { type Device, operandOf, viewOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** Tensors without axes as vectors of one: the op takes one axis or more. */
function asVector(operand: Operand): Operand {
  return operand.shape.length > 0 ? operand : viewOf(operand, [1], [1]);
}

/** The same numbers in memory of their own. */
function cloneOf(device: Device, operand: Operand): Operand {
  const clone = device.scratch(operand.shape, operand.type);
  device.copy(clone, operand);
  return clone;
}

/** Writes `next` where `apply` holds; else what was there stays. */
function choose(device: Device, apply: Operand, next: Operand, target: Operand): void {
  device.run('SWhere', apply, next, target, target);
}

/**
 * One group. The op changes its tensors whatever the gradient is: it works on copies, of which what is finite is taken,
 * because nobody may wait to know.
 */
function update(
  device: Device,
  group: readonly TensorView[],
  { scale, apply, step }: { readonly scale: Operand; readonly apply: Operand; readonly step: Operand },
  { learningRate, beta1, beta2, weightDecay, epsilon }: AdamWAttributes,
): void {
  const [parameter, first, second, gradient, copy] = group.map((view) => asVector(operandOf(view)));
  const states = [parameter, first, second];
  const scaled = device.scratch(parameter.shape, 'f32');
  device.run('Mul', device.cast(gradient, 'f32'), scale, scaled);
  const next = states.map((state) => cloneOf(device, state));
  device.run(
    'ApplyAdamWV2',
    ...(next as [Operand, Operand, Operand]),
    ...([null, scaled, step, learningRate, beta1, beta2, weightDecay, epsilon, false, false] as const),
  );
  if (copy) choose(device, apply, device.cast(next[0], copy.type), copy);
  for (const [i, state] of states.entries()) choose(device, apply, next[i], state);
}

export const optimizerKernels: FusedFamily<'adamw'> = (device) => ({
  adamw: {
    takes: () => device.has('ApplyAdamWV2'),
    run: (inputs, _, attributes) => {
      const [scale, finite] = inputs.slice(-2).map(operandOf);
      const apply = device.scratch([], 'bool');
      device.run('NeScalar', finite, { number: 0, type: 'f64' }, apply);
      const step = device.constant(attributes.step, 'f32', [1]);
      const width = attributes.copies ? 5 : 4;
      for (let i = 0; i + width <= inputs.length - 2; i += width) {
        const group = inputs.slice(i, i + width);
        // A frame of its own: the copies of one group serve the next.
        if (sizeOf(group[0].shape) > 0)
          device.frame(() => update(device, group, { scale, apply, step }, attributes));
      }
    },
  },
});
