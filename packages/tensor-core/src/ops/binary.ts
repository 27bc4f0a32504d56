import type { TensorInfo } from '../backend.js';
import { fill } from '../creation.js';
import { DTypeError, ShapeError } from '../errors.js';
import { broadcastShapes, type Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { describe, requireFloat, requireSameDType } from './checks.js';
import { defineOps, type OpDefinition, type Vjp } from './definition.js';
import { where } from './functions.js';
import type { OpName } from './specs.js';

type Arithmetic = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum';
type Comparison = 'equal' | 'less' | 'lessEqual';

function broadcast(op: string, inputs: readonly TensorInfo[]): number[] {
  let shape: Shape = inputs[0].shape;
  for (const input of inputs.slice(1)) {
    const next = broadcastShapes(shape, input.shape);
    if (!next) {
      throw new ShapeError({
        where: op,
        what: 'shapes do not broadcast',
        got: describe(inputs),
        expected: 'sizes that are equal or 1, aligned at the last axis',
        hint: 'Use reshape() to line up the axes.',
      });
    }
    shape = next;
  }
  return [...shape];
}

/** Sums a gradient over the axes along which its input was repeated. */
export function sumToShape(gradient: Tensor, shape: Shape): Tensor {
  const lead = gradient.rank - shape.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < lead || (shape[i - lead] === 1 && gradient.shape[i] !== 1));
  return axes.length === 0 ? gradient : gradient.sum(axes, true).reshape(...shape);
}

/** Integers wrap; maximum and minimum of NaN and a number are NaN. */
function arithmetic<N extends Arithmetic>(op: N, vjp: Vjp<N>): OpDefinition<N> {
  return {
    infer: (inputs) => {
      requireSameDType(op, inputs);
      if (op === 'div' || op === 'pow') requireFloat(op, inputs);
      else if (inputs[0].dtype === 'bool' || inputs[0].dtype === 'u8') {
        throw new DTypeError({
          where: op,
          what: 'has no arithmetic for this dtype',
          got: describe(inputs),
          hint: "Use cast('i32').",
        });
      }
      return [{ shape: broadcast(op, inputs), dtype: inputs[0].dtype }];
    },
    vjp,
  };
}

/** Gradients of a(x, y) from two partial derivatives, reduced to the inputs' shapes. */
function partials<N extends Arithmetic>(
  saves: Vjp<N>['saves'],
  left: (g: Tensor, x: () => Tensor, y: () => Tensor) => Tensor,
  right: (g: Tensor, x: () => Tensor, y: () => Tensor) => Tensor,
): Vjp<N> {
  return {
    saves,
    gradients: ({ gradient, input, inputInfos, needs }) =>
      [left, right].map((partial, i) =>
        needs(i)
          ? sumToShape(
              partial(
                gradient(),
                () => input(0),
                () => input(1),
              ),
              inputInfos[i].shape,
            )
          : null,
      ),
  };
}

/** A scalar 0, not g · 0: what is not selected must stay 0 where g is infinite. */
function zeroOf(g: Tensor): Tensor {
  return fill({ shape: [], dtype: g.dtype }, 0, g.backend);
}

/** Ties send half of the gradient to each side, as PyTorch does. */
function selected(g: Tensor, wins: Tensor, ties: Tensor): Tensor {
  const zero = zeroOf(g);
  return where(ties, g.mul(0.5), where(wins, g, zero));
}

/** False for NaN on either side. */
function comparison<N extends Comparison>(op: N): OpDefinition<N> {
  return {
    infer: (inputs) => {
      requireSameDType(op, inputs);
      return [{ shape: broadcast(op, inputs), dtype: 'bool' }];
    },
  };
}

const both = { inputs: [0, 1] } as const;

export const binaryOps = defineOps<Extract<OpName, Arithmetic | Comparison | 'where'>>({
  add: arithmetic(
    'add',
    partials(
      {},
      (g) => g,
      (g) => g,
    ),
  ),
  sub: arithmetic(
    'sub',
    partials(
      {},
      (g) => g,
      (g) => g.neg(),
    ),
  ),
  mul: arithmetic(
    'mul',
    partials(
      both,
      (g, _, y) => g.mul(y()),
      (g, x) => g.mul(x()),
    ),
  ),
  div: arithmetic(
    'div',
    partials(
      both,
      (g, _, y) => g.div(y()),
      // Not by y²: in f16 it is infinite from y = 256 on.
      (g, x, y) => g.mul(x().div(y())).div(y()).neg(),
    ),
  ),
  pow: arithmetic(
    'pow',
    partials(
      both,
      // x^0 is constant, also at 0, where 0 · 0^-1 would be NaN.
      (g, x, y) => g.mul(where(y().equal(0), zeroOf(g), y().mul(x().pow(y().sub(1))))),
      // 0^y has the gradient 0 in y; log(0) must not turn it into NaN.
      (g, x, y) => g.mul(x().pow(y())).mul(where(x().equal(0), x().mul(0), x().log())),
    ),
  ),
  maximum: arithmetic(
    'maximum',
    partials(
      both,
      (g, x, y) => selected(g, y().less(x()), x().equal(y())),
      (g, x, y) => selected(g, x().less(y()), x().equal(y())),
    ),
  ),
  minimum: arithmetic(
    'minimum',
    partials(
      both,
      (g, x, y) => selected(g, x().less(y()), x().equal(y())),
      (g, x, y) => selected(g, y().less(x()), x().equal(y())),
    ),
  ),
  equal: comparison('equal'),
  less: comparison('less'),
  lessEqual: comparison('lessEqual'),
  where: {
    infer: (inputs) => {
      const [condition, ...branches] = inputs;
      if (condition.dtype !== 'bool') {
        throw new DTypeError({
          where: 'where',
          what: 'the condition must be bool',
          got: describe([condition]),
        });
      }
      requireSameDType('where', branches);
      return [{ shape: broadcast('where', inputs), dtype: branches[0].dtype }];
    },
    vjp: {
      saves: { inputs: [0] },
      gradients: ({ gradient, input, inputInfos, needs }) => {
        const zero = zeroOf(gradient());
        return [
          null,
          needs(1) ? sumToShape(where(input(0), gradient(), zero), inputInfos[1].shape) : null,
          needs(2) ? sumToShape(where(input(0), zero, gradient()), inputInfos[2].shape) : null,
        ];
      },
    },
  },
});
