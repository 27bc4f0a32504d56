import { DTypeError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { describe, requireFloat } from './checks.js';
import { defineOps, type OpDefinition, type Vjp } from './definition.js';
import type { OpName } from './specs.js';

type FloatUnary =
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'erf'
  | 'floor'
  | 'neg'
  | 'abs'
  | 'sign';

/** A rule that needs the input x. */
function fromInput<N extends FloatUnary>(derivative: (g: Tensor, x: Tensor) => Tensor): Vjp<N> {
  return { saves: { inputs: [0] }, gradients: ({ gradient, input }) => [derivative(gradient(), input(0))] };
}

/** A rule that needs the output y. */
function fromOutput<N extends FloatUnary>(derivative: (g: Tensor, y: Tensor) => Tensor): Vjp<N> {
  return { saves: { outputs: [0] }, gradients: ({ gradient, output }) => [derivative(gradient(), output())] };
}

function floatUnary<N extends FloatUnary>(op: N, vjp?: Vjp<N>): OpDefinition<N> {
  return {
    infer: (inputs) => {
      requireFloat(op, inputs);
      return [inputs[0]];
    },
    vjp,
  };
}

/** Sign changes and magnitudes also make sense for i32 and i8. */
function signedUnary<N extends 'neg' | 'abs' | 'sign'>(op: N, vjp?: Vjp<N>): OpDefinition<N> {
  return {
    infer: (inputs) => {
      if (inputs[0].dtype !== 'i32' && inputs[0].dtype !== 'i8') requireFloat(op, inputs);
      return [inputs[0]];
    },
    vjp,
  };
}

export const unaryOps = defineOps<Extract<OpName, FloatUnary | 'isFinite' | 'logicalNot' | 'cast'>>({
  neg: signedUnary('neg', { saves: {}, gradients: ({ gradient }) => [gradient().neg()] }),
  abs: signedUnary(
    'abs',
    fromInput((g, x) => g.mul(x.sign())),
  ),
  sign: signedUnary('sign'),
  floor: floatUnary('floor'),
  exp: floatUnary(
    'exp',
    fromOutput((g, y) => g.mul(y)),
  ),
  log: floatUnary(
    'log',
    fromInput((g, x) => g.div(x)),
  ),
  sqrt: floatUnary(
    'sqrt',
    fromOutput((g, y) => g.div(y).mul(0.5)),
  ),
  rsqrt: floatUnary(
    'rsqrt',
    fromOutput((g, y) => g.mul(y.mul(y).mul(y)).mul(-0.5)),
  ),
  sin: floatUnary(
    'sin',
    fromInput((g, x) => g.mul(x.cos())),
  ),
  cos: floatUnary(
    'cos',
    fromInput((g, x) => g.mul(x.sin()).neg()),
  ),
  tanh: floatUnary(
    'tanh',
    fromOutput((g, y) => g.mul(y.mul(y).neg().add(1))),
  ),
  sigmoid: floatUnary(
    'sigmoid',
    fromOutput((g, y) => g.mul(y.mul(y.neg().add(1)))),
  ),
  erf: floatUnary(
    'erf',
    fromInput((g, x) => g.mul(x.mul(x).neg().exp()).mul(2 / Math.sqrt(Math.PI))),
  ),
  isFinite: {
    infer: (inputs) => {
      requireFloat('isFinite', inputs);
      return [{ shape: inputs[0].shape, dtype: 'bool' }];
    },
  },
  logicalNot: {
    infer: (inputs) => {
      if (inputs[0].dtype !== 'bool') {
        throw new DTypeError({ where: 'logicalNot', what: 'needs a bool tensor', got: describe(inputs) });
      }
      return [inputs[0]];
    },
  },
  cast: {
    infer: ([x], { dtype }) => [{ shape: x.shape, dtype }],
    vjp: { saves: {}, gradients: ({ gradient, inputInfos }) => [gradient().cast(inputInfos[0].dtype)] },
  },
});
