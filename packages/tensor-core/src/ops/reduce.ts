import type { FloatDType } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { formatShape, type Shape, sizeOf } from '../shape.js';
import { requireFloat, requireMinRank } from './checks.js';
import { defineOps } from './definition.js';
import type { AxesAttributes } from './specs.js';

function reducedShape(shape: Shape, { axes, keepDims }: AxesAttributes): number[] {
  return keepDims
    ? shape.map((n, i) => (axes.includes(i) ? 1 : n))
    : shape.filter((_, i) => !axes.includes(i));
}

/** The reduced shape with the reduced axes kept as 1, whatever `keepDims` says: broadcasts against the input. */
function keptShape(shape: Shape, { axes }: AxesAttributes): number[] {
  return reducedShape(shape, { axes, keepDims: true });
}

/** Refuses to reduce nothing to something. */
function requireSomething(op: string, from: Shape, to: Shape): void {
  if (sizeOf(from) > 0 || sizeOf(to) === 0) return;
  throw new ShapeError({
    where: op,
    what: 'no largest value of nothing',
    got: `${formatShape(from)} reduced to ${formatShape(to)}`,
    expected: 'at least one element per result',
  });
}

/** For max and argMax, as for sort and topK, NaN is larger than every number. */
export const reduceOps = defineOps<'sum' | 'max' | 'argMax' | 'cumulativeSum' | 'sumOfSquares'>({
  // Sums of i8, u8 and bool count in i32.
  sum: {
    infer: ([x], attributes) => [
      {
        shape: reducedShape(x.shape, attributes),
        dtype: x.dtype === 'i8' || x.dtype === 'u8' || x.dtype === 'bool' ? 'i32' : x.dtype,
      },
    ],
    vjp: {
      saves: {},
      gradients: ({ gradient, inputInfos: [x], attributes }) => [
        gradient()
          .reshape(...keptShape(x.shape, attributes))
          .expand(...x.shape),
      ],
    },
  },
  max: {
    infer: ([x], attributes) => {
      const shape = reducedShape(x.shape, attributes);
      requireSomething('max', x.shape, shape);
      return [{ shape, dtype: x.dtype }];
    },
    // Equal maxima share the gradient, as PyTorch's amax does.
    vjp: {
      saves: { inputs: [0], outputs: [0] },
      gradients: ({ gradient, input, output, attributes }) => {
        const x = input(0);
        const kept = keptShape(x.shape, attributes);
        const isMax = x.equal(output().reshape(...kept)).cast(x.dtype);
        const share = isMax.div(isMax.sum(attributes.axes, true));
        return [
          gradient()
            .reshape(...kept)
            .mul(share),
        ];
      },
    },
  },
  argMax: {
    infer: ([x], { axis }) => {
      const shape = x.shape.filter((_, i) => i !== axis);
      requireSomething('argMax', x.shape, shape);
      return [{ shape, dtype: 'i32' }];
    },
  },
  cumulativeSum: {
    infer: ([x]) => {
      requireMinRank('cumulativeSum', 'the input', x, 1);
      if (x.dtype !== 'i32') requireFloat('cumulativeSum', [x]);
      return [x];
    },
    // The gradient sums from the end: total - running sum + own.
    vjp: {
      saves: {},
      gradients: ({ gradient, attributes: { axis } }) => {
        const g = gradient();
        return [g.sum(axis, true).sub(g.cumulativeSum(axis)).add(g)];
      },
    },
  },
  // Σ x² over all elements of any number of tensors: the norm of all gradients is one call.
  sumOfSquares: {
    infer: (inputs) => {
      requireFloat('sumOfSquares', inputs);
      return [{ shape: [], dtype: 'f32' }];
    },
    decompose: (inputs) => {
      const squares = inputs.map((x) => {
        const wide = x.cast('f32');
        return wide.mul(wide).sum();
      });
      return [squares.reduce((sum, square) => sum.add(square))];
    },
    vjp: {
      saves: { inputs: 'all' },
      gradients: ({ gradient, input, inputInfos, needs }) =>
        inputInfos.map((_, i) =>
          needs(i)
            ? input(i)
                .mul(gradient().cast(input(i).dtype as FloatDType))
                .mul(2)
            : null,
        ),
    },
  },
});
