import type { TensorInfo } from '../backend.js';
import { ShapeError } from '../errors.js';
import { scope } from '../scope.js';
import type { Tensor } from '../tensor.js';
import { describe, requireDType, requireFloat, requireSameShape, requireShape } from './checks.js';
import { defineOps } from './definition.js';
import { where } from './functions.js';
import type { AdamWAttributes } from './specs.js';

/** The list of groups in front of the two factors. */
function groupsOf<T>(inputs: readonly T[], { copies }: AdamWAttributes): (readonly T[])[] {
  const width = copies ? 5 : 4;
  const count = Math.max(0, Math.floor((inputs.length - 2) / width));
  return Array.from({ length: count }, (_, i) => inputs.slice(i * width, (i + 1) * width));
}

function requireGroup([parameter, first, second, gradient, copy]: readonly TensorInfo[]): void {
  for (const state of [parameter, first, second])
    requireDType('adamw', 'parameter and moments', state, 'f32');
  requireFloat('adamw', copy ? [gradient, copy] : [gradient]);
  requireSameShape('adamw', [parameter, first, second, gradient, ...(copy ? [copy] : [])]);
}

/**
 * What each tensor of a group becomes; nothing has changed yet, so that a group for which there is no memory is left as it was.
 */
function nextOfGroup(
  [parameter, first, second, gradient, copy]: readonly Tensor[],
  scale: Tensor,
  apply: Tensor,
  { learningRate, beta1, beta2, epsilon, weightDecay, step }: AdamWAttributes,
): (readonly [target: Tensor, next: Tensor])[] {
  const g = gradient.cast('f32').mul(scale);
  const nextFirst = first.mul(beta1).add(g.mul(1 - beta1));
  const nextSecond = second.mul(beta2).add(g.mul(g).mul(1 - beta2));
  const denominator = nextSecond
    .mul(1 / (1 - beta2 ** step))
    .sqrt()
    .add(epsilon);
  const update = nextFirst.mul(learningRate / (1 - beta1 ** step)).div(denominator);
  // Not parameter · (1 - rate · decay): rounded to f32, that factor drifts over many steps.
  const next = parameter.sub(parameter.mul(learningRate * weightDecay).add(update));
  const change = (target: Tensor, value: Tensor) => [target, where(apply, value, target)] as const;
  return [
    ...(copy ? [change(copy, next.cast(copy.dtype))] : []),
    change(parameter, next),
    change(first, nextFirst),
    change(second, nextSecond),
  ];
}

/** Each target takes its value. What led to the values should be freed by then. */
export function assignAll(changes: readonly (readonly [target: Tensor, next: Tensor])[]): void {
  for (const [target, next] of changes) target.assign(next);
}

export const optimizerOps = defineOps<'adamw'>({
  // For each of any number of groups (parameter, first moment, second moment, gradient[, copy]), then scale [] and
  // finite []: Loshchilov & Hutter 2019, as torch does it. Gradients are multiplied by `scale` (clipping, loss scale);
  // with finite = 0 nothing changes at all. One call for all parameters of a model.
  adamw: {
    mutates: (inputs, attributes) =>
      groupsOf([...inputs.keys()], attributes).flatMap(([p, first, second, , copy]) =>
        copy === undefined ? [p, first, second] : [p, first, second, copy],
      ),
    infer: (inputs, attributes) => {
      const groups = groupsOf(inputs, attributes);
      const width = attributes.copies ? 5 : 4;
      if (inputs.length !== groups.length * width + 2) {
        throw new ShapeError({
          where: 'adamw',
          what: 'the tensors do not come in groups',
          got: describe(inputs),
          expected: `a multiple of ${width}, then scale and finite`,
        });
      }
      for (const group of groups) requireGroup(group);
      for (const factor of inputs.slice(-2)) {
        requireDType('adamw', 'scale and finite', factor, 'f32');
        requireShape('adamw', 'scale and finite', factor, [], inputs);
      }
      return [];
    },
    decompose: (inputs, attributes) => {
      const [scale, finite] = inputs.slice(-2);
      const apply = finite.equal(0).logicalNot();
      for (const group of groupsOf(inputs, attributes))
        scope(() => assignAll(scope(() => nextOfGroup(group, scale, apply, attributes))));
      return [];
    },
  },
});
