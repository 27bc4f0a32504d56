import type { TensorInfo } from '../backend.js';
import { dispatch, run } from '../dispatch.js';
import type { DType, FloatDType } from '../dtype.js';
import { ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import {
  describe,
  requireDType,
  requireFloat,
  requireMinRank,
  requireRank,
  requireSameShape,
} from './checks.js';
import { defineOps, type Vjp } from './definition.js';

/** Whole numbers -127..127 and their scales: one per row (what a product sums over are the columns), or per column. */
interface Codes {
  readonly codes: Tensor;
  readonly scales: Tensor;
}

function quantize(x: Tensor, axis: 'rows' | 'columns'): Codes {
  const [codes, scales] = dispatch('quantizeInt8', [x], { axis });
  return { codes, scales };
}

/** left [M, K] · right [K, N] of codes, times the scales of M and of N. Sums of codes are exact up to 2^24. */
function multiplyCodes(left: Codes, right: Codes, dtype: FloatDType): Tensor {
  const wide = [left, right].map(({ codes }) => codes.cast('bf16'));
  const sums = run('matmul', wide, { output: 'f32' });
  return sums.mul(left.scales.reshape(-1, 1)).mul(right.scales).cast(dtype);
}

function transposed({ codes, scales }: Codes): Codes {
  return { codes: codes.transpose(), scales };
}

function inferLinear(op: 'linear' | 'int8Linear', inputs: readonly TensorInfo[]): readonly TensorInfo[] {
  const [x, weight, copy] = inputs;
  requireFloat(op, [x, weight]);
  requireMinRank(op, 'the input', x, 1);
  requireRank(op, 'the weight', weight, 2);
  if (x.shape[x.shape.length - 1] !== weight.shape[1]) {
    throw new ShapeError({
      where: op,
      what: 'inner sizes differ',
      got: describe(inputs),
      expected: '[..., inFeatures] and [outFeatures, inFeatures]',
    });
  }
  if (copy) requireSameShape(op, [weight, copy]);
  if (op === 'linear')
    requireDType(op, copy ? 'the copy of the weight' : 'the weight', copy ?? weight, x.dtype);
  return [{ shape: [...x.shape.slice(0, -1), weight.shape[0]], dtype: x.dtype }];
}

/** The last axis kept, all others as one. */
function rowsOf(x: Tensor): Tensor {
  return x.reshape(-1, x.shape[x.rank - 1]);
}

function withShape(y: Tensor, shape: readonly number[]): Tensor {
  return y.reshape(...shape.slice(0, -1), y.shape[1]);
}

function gradientsOfLinear(
  dataGradient: (g: Tensor, weight: Tensor) => Tensor,
  weightGradient: (g: Tensor, x: Tensor, dtype: DType) => Tensor,
): Vjp<'linear' | 'int8Linear'> {
  return {
    saves: { inputs: [0, 1, 2] },
    gradients: ({ gradient, input, inputInfos, needs }) => {
      const g = rowsOf(gradient());
      const [x, weight, copy] = inputInfos;
      return [
        needs(0) ? withShape(dataGradient(g, input(copy ? 2 : 1)), x.shape) : null,
        needs(1) ? weightGradient(g, rowsOf(input(0)), weight.dtype) : null,
        null,
      ];
    },
  };
}

/**
 * Products of activations with a trained weight stored [out, in]. Unlike `matmul` of a cast weight, the weight's
 * gradient comes out of the sums in the dtype of the weight, not rounded to that of the activations on the way.
 */
export const linearOps = defineOps<'linear' | 'int8Linear' | 'quantizeInt8'>({
  // (x [..., K], weight [N, K]) → x Wᵀ [..., N]. With a third input, the weight rounded to the dtype of x, the product
  // takes that one; its gradient still belongs to the weight.
  linear: {
    infer: (inputs) => inferLinear('linear', inputs),
    vjp: gradientsOfLinear(
      (g, weight) => g.matmul(weight),
      (g, x, dtype) => run('matmul', [g.transpose(), x], { output: dtype as FloatDType }),
    ),
    decompose: ([x, weight, copy = weight]) => [
      x.rank === 1 ? x.reshape(1, -1).matmul(copy.transpose()).reshape(-1) : x.matmul(copy.transpose()),
    ],
  },
  // The same in whole numbers, forward and backward (as in SwitchBack, Wortsman et al. 2023, arXiv:2304.13013, but for
  // the weight's gradient too): both operands of each of the three products become int8 along what is summed over.
  int8Linear: {
    infer: (inputs) => inferLinear('int8Linear', inputs),
    vjp: gradientsOfLinear(
      (g, weight) => multiplyCodes(quantize(g, 'rows'), quantize(weight, 'columns'), g.dtype as FloatDType),
      (g, x, dtype) =>
        multiplyCodes(transposed(quantize(g, 'columns')), quantize(x, 'columns'), dtype as FloatDType),
    ),
    decompose: ([x, weight]) => [
      withShape(
        multiplyCodes(
          quantize(rowsOf(x), 'rows'),
          transposed(quantize(weight, 'rows')),
          x.dtype as FloatDType,
        ),
        x.shape,
      ),
    ],
  },
  // x [M, K] → (codes i8 [M, K] = round(x / scale), ties to even, scale f32 [M] or [K] = largest |x| / 127).
  quantizeInt8: {
    infer: ([x], { axis }) => {
      requireFloat('quantizeInt8', [x]);
      requireRank('quantizeInt8', 'the input', x, 2);
      return [
        { shape: x.shape, dtype: 'i8' },
        { shape: [x.shape[axis === 'rows' ? 0 : 1]], dtype: 'f32' },
      ];
    },
    decompose: ([x], { axis }) => {
      const along = axis === 'rows' ? 1 : 0;
      const wide = x.cast('f32');
      const scales = (x.size > 0 ? wide.abs().max(along, true) : wide.sum(along, true)).div(127);
      // Adding and taking off 1.5 · 2^23 rounds to whole numbers.
      const codes = wide.div(scales.maximum(1e-37)).add(12582912).sub(12582912);
      return [codes.cast('i8'), scales.reshape(-1)];
    },
  },
});
