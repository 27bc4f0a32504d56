import type { TensorInfo } from '../backend.js';
import { dispatch, run } from '../dispatch.js';
import type { FloatDType } from '../dtype.js';
import { ArgumentError, ShapeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { activationDerivative } from './activation.js';
import { applyActivation } from './apply-activation.js';
import {
  describe,
  requireDType,
  requireFloat,
  requireMinRank,
  requireRank,
  requireSameShape,
  requireShape,
} from './checks.js';
import { defineOps, type OpDefinition, type Vjp } from './definition.js';
import type { LinearAttributes } from './specs.js';

/** Whole numbers -127..127 [M, K], of which products sum over K, and a scale for each row. */
interface Codes {
  readonly codes: Tensor;
  readonly scales: Tensor;
}

function quantize(x: Tensor, axis: 'rows' | 'columns'): Codes {
  const [codes, scales] = dispatch('quantizeInt8', [x], { axis });
  return { codes, scales };
}

function multiplyCodes(left: Codes, right: Codes, dtype: FloatDType): Tensor {
  return run('int8Matmul', [left.codes, left.scales, right.codes, right.scales], { output: dtype });
}

/** Inputs by what they are. */
function partsOf<T>(inputs: readonly T[], { copy, bias, residual }: LinearAttributes) {
  let next = 2;
  const part = (isThere = false) => (isThere ? inputs[next++] : undefined);
  return { x: inputs[0], weight: inputs[1], copy: part(copy), bias: part(bias), residual: part(residual) };
}

function inferLinear(
  op: 'linear' | 'int8Linear',
  inputs: readonly TensorInfo[],
  attributes: LinearAttributes,
): readonly TensorInfo[] {
  const wanted = 2 + [attributes.copy, attributes.bias, attributes.residual].filter(Boolean).length;
  if (inputs.length !== wanted) {
    throw new ArgumentError({
      where: op,
      what: 'inputs and attributes name different parts',
      got: describe(inputs),
      expected: `${wanted} inputs`,
    });
  }
  const { x, weight, copy, bias, residual } = partsOf(inputs, attributes);
  requireFloat(op, inputs);
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
  const output = { shape: [...x.shape.slice(0, -1), weight.shape[0]], dtype: x.dtype };
  if (bias) requireShape(op, 'the bias', bias, [weight.shape[0]], inputs);
  if (residual) {
    requireShape(op, 'the residual', residual, output.shape, inputs);
    requireDType(op, 'the residual', residual, x.dtype);
  }
  return [output];
}

/** The last axis kept, all others as one. */
function rowsOf(x: Tensor): Tensor {
  return x.reshape(-1, x.shape[x.rank - 1]);
}

function withShape(y: Tensor, shape: readonly number[]): Tensor {
  return y.reshape(...shape.slice(0, -1), y.shape[1]);
}

/** x [M, K] · weightᵀ [K, N] in `output`. */
type Product = (x: Tensor, weight: Tensor, output: FloatDType) => Tensor;

const floatProduct: Product = (x, weight, output) => run('matmul', [x, weight.transpose()], { output });

const int8Product: Product = (x, weight, output) =>
  multiplyCodes(quantize(x, 'rows'), quantize(weight, 'rows'), output);

/** Sums, bias, activation, scale and residual in f32, rounded once. */
function decomposeLinear(product: Product): NonNullable<OpDefinition<'linear'>['decompose']> {
  return (inputs, attributes) => {
    const { x, weight, copy = weight, bias, residual } = partsOf(inputs, attributes);
    const { activation, scale = 1 } = attributes;
    const dtype = x.dtype as FloatDType;
    const isPlain = !bias && !residual && !activation && scale === 1;
    let y = product(rowsOf(x), copy, isPlain ? dtype : 'f32');
    if (bias) y = y.add(bias.cast('f32'));
    if (activation) y = applyActivation(activation, y);
    if (scale !== 1) y = y.mul(scale);
    y = withShape(y, x.shape);
    return [(residual ? y.add(residual.cast('f32')) : y).cast(dtype)];
  };
}

/**
 * `inputGradient(g [M, N], weight [N, K])`; the weight's own is gᵀ x, summed in f32 and rounded to its dtype. What an
 * activation was applied to is computed again.
 */
function gradientsOfLinear(
  product: Product,
  inputGradient: (g: Tensor, weight: Tensor) => Tensor,
): Vjp<'linear' | 'int8Linear'> {
  return {
    saves: { inputs: [0, 1, 2, 3] },
    gradients: ({ gradient, input, inputInfos, attributes, needs }) => {
      const at = partsOf([0, 1, 2, 3, 4], attributes);
      const { activation, scale = 1 } = attributes;
      const [x, weight] = inputInfos;
      const factor = () => input(at.copy ?? 1);
      let g = rowsOf(gradient());
      if (scale !== 1) g = g.mul(scale);
      if (activation) {
        const sums = product(rowsOf(input(0)), factor(), 'f32');
        const before = at.bias === undefined ? sums : sums.add(input(at.bias).cast('f32'));
        g = g.cast('f32').mul(activationDerivative(activation, before)).cast(x.dtype);
      }
      const gradients: (Tensor | null)[] = inputInfos.map(() => null);
      if (needs(0)) gradients[0] = withShape(inputGradient(g, factor()), x.shape);
      if (needs(1))
        gradients[1] = run('matmul', [g.transpose(), rowsOf(input(0))], {
          output: weight.dtype as FloatDType,
        });
      if (at.bias !== undefined && needs(at.bias))
        gradients[at.bias] = g.cast(inputInfos[at.bias].dtype).sum(0);
      if (at.residual !== undefined && needs(at.residual)) gradients[at.residual] = gradient();
      return gradients;
    },
  };
}

/**
 * Products of activations with a trained weight stored [out, in]. Unlike `matmul` of a cast weight, the weight's
 * gradient comes out of the sums in the dtype of the weight, not rounded to that of the activations on the way.
 */
export const linearOps = defineOps<'linear' | 'int8Linear' | 'quantizeInt8' | 'int8Matmul'>({
  // (x [..., K], weight [N, K], …) → scale · activation(x Wᵀ + bias) + residual [..., N], in f32 until the end.
  linear: {
    infer: (inputs, attributes) => inferLinear('linear', inputs, attributes),
    depth: ([, weight]) => weight.shape[1],
    vjp: gradientsOfLinear(floatProduct, (g, weight) => g.matmul(weight)),
    decompose: decomposeLinear(floatProduct),
  },
  // The same in whole numbers, forward and for the gradient of x: both operands of a product become int8 along what is
  // summed over. The gradient of the weight stays a product of floats, as in SwitchBack (Wortsman et al. 2023,
  // arXiv:2304.13013): it sums over all tokens of the batch, of which few set the scale; see docs/log.md.
  int8Linear: {
    infer: (inputs, attributes) => inferLinear('int8Linear', inputs, attributes),
    depth: ([, weight]) => weight.shape[1],
    vjp: gradientsOfLinear(int8Product, (g, weight) =>
      multiplyCodes(quantize(g, 'rows'), quantize(weight, 'columns'), g.dtype as FloatDType),
    ),
    decompose: decomposeLinear(int8Product),
  },
  // x [M, K] → (codes i8 [M, K] = round(x / scale), ties to even; scale f32 [M] = largest |x| of the row / 127). With
  // axis `columns` the same of xᵀ: products sum over rows.
  quantizeInt8: {
    infer: ([x], { axis }) => {
      requireFloat('quantizeInt8', [x]);
      requireRank('quantizeInt8', 'the input', x, 2);
      const shape = axis === 'rows' ? x.shape : [x.shape[1], x.shape[0]];
      return [
        { shape, dtype: 'i8' },
        { shape: [shape[0]], dtype: 'f32' },
      ];
    },
    decompose: ([x], { axis }) => {
      const wide = (axis === 'rows' ? x : x.transpose()).cast('f32');
      const scales = (x.size > 0 ? wide.abs().max(1, true) : wide.sum(1, true)).div(127);
      // Adding and taking off 1.5 · 2^23 rounds to whole numbers.
      const codes = wide.div(scales.maximum(1e-37)).add(12582912).sub(12582912);
      return [codes.cast('i8'), scales.reshape(-1)];
    },
  },
  // (a i8 [M, K], scales f32 [M], b i8 [N, K], scales f32 [N]) → a bᵀ [M, N] times both scales; the sum itself is exact.
  int8Matmul: {
    infer: (inputs, { output }) => {
      const [a, aScales, b, bScales] = inputs;
      for (const codes of [a, b]) {
        requireDType('int8Matmul', 'the codes', codes, 'i8');
        requireRank('int8Matmul', 'the codes', codes, 2);
      }
      for (const [codes, scales] of [
        [a, aScales],
        [b, bScales],
      ]) {
        requireDType('int8Matmul', 'the scales', scales, 'f32');
        requireShape('int8Matmul', 'the scales', scales, [codes.shape[0]], inputs);
      }
      if (a.shape[1] !== b.shape[1]) {
        const [got, expected] = [describe(inputs), '[M, K] and [N, K]'];
        throw new ShapeError({ where: 'int8Matmul', what: 'inner sizes differ', got, expected });
      }
      return [{ shape: [a.shape[0], b.shape[0]], dtype: output }];
    },
    decompose: ([a, aScales, b, bScales], { output }) => {
      const sums = run('integerMatmul', [a, b], {}).cast('f32');
      return [sums.mul(aScales.reshape(-1, 1).mul(bScales)).cast(output)];
    },
  },
});
