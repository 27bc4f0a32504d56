import type { TensorInfo } from '../backend.js';
import { ShapeError } from '../errors.js';
import { scope } from '../scope.js';
import { formatShape, sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { describe, requireDType, requireFloat, requireSameShape, requireShape } from './checks.js';
import { defineOps } from './definition.js';
import { where } from './functions.js';
import { assignAll } from './optimizer.js';
import type { AdamWAttributes } from './specs.js';

/** Entries of a map from codes to numbers. */
const CODES = 256;
/** Kernels hold one block at a time on the stack. */
const LONGEST_BLOCK = 4096;
/** Scale, finite and the two maps, behind the groups. */
const SHARED = 4;

/** Tensors per group: parameter, codes and scales of both moments, gradient[, copy]. */
const widthOf = ({ copies }: AdamWAttributes): number => (copies ? 7 : 6);

/** The list of groups in front of what all share. */
function groupsOf<T>(inputs: readonly T[], attributes: AdamWAttributes): (readonly T[])[] {
  const width = widthOf(attributes);
  const count = Math.max(0, Math.floor((inputs.length - SHARED) / width));
  return Array.from({ length: count }, (_, i) => inputs.slice(i * width, (i + 1) * width));
}

function requireGroup(group: readonly TensorInfo[]): void {
  const [parameter, first, firstScales, second, secondScales, gradient, copy] = group;
  requireDType('adamw8bit', 'the parameter', parameter, 'f32');
  requireFloat('adamw8bit', copy ? [gradient, copy] : [gradient]);
  requireSameShape('adamw8bit', [parameter, gradient, ...(copy ? [copy] : [])]);
  for (const [codes, scales] of [
    [first, firstScales],
    [second, secondScales],
  ]) {
    requireDType('adamw8bit', 'codes', codes, 'u8');
    requireDType('adamw8bit', 'scales', scales, 'f32');
    const [blocks, length = 0] = codes.shape;
    const size = sizeOf(parameter.shape);
    if (
      codes.shape.length !== 2 ||
      !(length >= 1 && length <= LONGEST_BLOCK) ||
      blocks !== Math.ceil(size / length)
    ) {
      throw new ShapeError({
        where: 'adamw8bit',
        what: 'codes do not cover the parameter',
        got: formatShape(codes.shape),
        expected: `[blocks, elements of a block (1 to ${LONGEST_BLOCK})] for ${size} elements`,
      });
    }
    requireShape('adamw8bit', 'scales', scales, [blocks], group);
  }
}

/** Codes [blocks, G] and scales [blocks] → numbers [blocks, G]. */
function unpack(codes: Tensor, scales: Tensor, map: Tensor): Tensor {
  return map.gatherRows(codes.cast('i32')).mul(scales.reshape(-1, 1));
}

/** The nearest entries of an ascending map, found by bisection; numbers [blocks, G] → codes and scales. */
function pack(x: Tensor, map: Tensor, keepsPositive: boolean): { codes: Tensor; scales: Tensor } {
  const scales = x.shape[0] === 0 ? x.sum(1) : x.abs().max(1); // [blocks]
  const isZero = scales.equal(0).reshape(-1, 1);
  const unit = where(isZero, x.mul(0), x.div(where(isZero, isZero.cast('f32'), scales.reshape(-1, 1))));
  const midpoints = map
    .slice(0, 0, CODES - 1)
    .add(map.slice(0, 1, CODES))
    .mul(0.5);
  let codes = unit.mul(0);
  for (let bit = CODES / 2; bit >= 1; bit /= 2) {
    const below = midpoints.gatherRows(codes.add(bit - 1).cast('i32'));
    codes = codes.add(below.less(unit).cast('f32').mul(bit));
  }
  if (keepsPositive) codes = codes.maximum(unit.mul(0).less(unit).cast('f32'));
  return { codes: codes.cast('u8'), scales };
}

/** What each tensor of a group becomes; nothing has changed yet. */
function nextOfGroup(
  [parameter, first, firstScales, second, secondScales, gradient, copy]: readonly Tensor[],
  [scale, finite, firstMap, secondMap]: readonly Tensor[],
  { learningRate, beta1, beta2, epsilon, weightDecay, step }: AdamWAttributes,
): (readonly [target: Tensor, next: Tensor])[] {
  const apply = finite.equal(0).logicalNot();
  const [blocks, length] = first.shape;
  const { size, shape } = parameter;
  const g = gradient
    .cast('f32')
    .mul(scale)
    .reshape(-1)
    .pad([0], [blocks * length - size])
    .reshape(blocks, length);
  const nextFirst = unpack(first, firstScales, firstMap)
    .mul(beta1)
    .add(g.mul(1 - beta1));
  const nextSecond = unpack(second, secondScales, secondMap)
    .mul(beta2)
    .add(g.mul(g).mul(1 - beta2));
  const denominator = nextSecond
    .mul(1 / (1 - beta2 ** step))
    .sqrt()
    .add(epsilon);
  const update = nextFirst
    .mul(learningRate / (1 - beta1 ** step))
    .div(denominator)
    .reshape(-1)
    .slice(0, 0, size)
    .reshape(...shape);
  const next = parameter.sub(parameter.mul(learningRate * weightDecay).add(update));
  const [a, b] = [pack(nextFirst, firstMap, false), pack(nextSecond, secondMap, true)];
  const change = (target: Tensor, value: Tensor) => [target, where(apply, value, target)] as const;
  return [
    ...(copy ? [change(copy, next.cast(copy.dtype))] : []),
    change(parameter, next),
    change(first, a.codes),
    change(firstScales, a.scales),
    change(second, b.codes),
    change(secondScales, b.scales),
  ];
}

export const quantizedOptimizerOps = defineOps<'adamw8bit'>({
  // AdamW whose moments are kept in 8 bits (Dettmers et al. 2021, arXiv:2110.02861). For each of any number of groups
  // (parameter, codes u8 [blocks, G] and scales f32 [blocks] of the first moment, the same of the second, gradient[,
  // copy]), then scale [], finite [] and the ascending maps of both moments f32 [256]. A moment is map[code] · scale of
  // its block; the update uses the moments before they are rounded to the nearest entries. A positive second moment
  // never becomes 0 (entry 0 of its map): dividing by it would make the next step too large.
  adamw8bit: {
    mutates: (inputs, attributes) =>
      groupsOf([...inputs.keys()], attributes).flatMap((group) => group.filter((_, i) => i !== 5)),
    infer: (inputs, attributes) => {
      const groups = groupsOf(inputs, attributes);
      if (inputs.length !== groups.length * widthOf(attributes) + SHARED) {
        throw new ShapeError({
          where: 'adamw8bit',
          what: 'the tensors do not come in groups',
          got: describe(inputs),
          expected: `a multiple of ${widthOf(attributes)}, then scale, finite and two maps`,
        });
      }
      for (const group of groups) requireGroup(group);
      for (const [i, shared] of inputs.slice(-SHARED).entries()) {
        const name = i < 2 ? 'scale and finite' : 'the maps';
        requireDType('adamw8bit', name, shared, 'f32');
        requireShape('adamw8bit', name, shared, i < 2 ? [] : [CODES], inputs);
      }
      return [];
    },
    decompose: (inputs, attributes) => {
      const shared = inputs.slice(-SHARED);
      for (const group of groupsOf(inputs, attributes))
        scope(() => assignAll(scope(() => nextOfGroup(group, shared, attributes))));
      return [];
    },
  },
});
