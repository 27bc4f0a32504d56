import { ShapeError } from '../errors.js';
import {
  broadcastShapes,
  broadcastStrides,
  checkShape,
  contiguousStrides,
  formatShape,
  sameShape,
  sizeOf,
} from '../shape.js';
import { sumToShape } from './binary.js';
import { describe, requireSameDType } from './checks.js';
import { defineOps } from './definition.js';

export const movementOps = defineOps<'reshape' | 'permute' | 'slice' | 'expand' | 'copy' | 'concat' | 'pad'>({
  reshape: {
    infer: ([x], { shape }) => {
      if (sizeOf(shape) !== sizeOf(x.shape)) {
        throw new ShapeError({
          where: 'reshape',
          what: 'the number of elements changes',
          got: describe([x]),
          expected: formatShape(shape),
        });
      }
      return [{ shape, dtype: x.dtype }];
    },
    view: (input, { shape }) => ({ strides: contiguousStrides(shape), offset: input.offset }),
    vjp: { saves: {}, gradients: ({ gradient, inputInfos: [x] }) => [gradient().reshape(...x.shape)] },
  },
  permute: {
    infer: ([x], { axes }) => {
      if (axes.length !== x.shape.length || new Set(axes).size !== axes.length) {
        throw new ShapeError({
          where: 'permute',
          what: 'axes must name every axis once',
          got: formatShape(axes),
          expected: `a permutation of 0..${x.shape.length - 1}`,
        });
      }
      return [{ shape: axes.map((axis) => x.shape[axis]), dtype: x.dtype }];
    },
    view: (input, { axes }) => ({ strides: axes.map((axis) => input.strides[axis]), offset: input.offset }),
    vjp: {
      saves: {},
      gradients: ({ gradient, attributes: { axes } }) => [
        gradient().permute(...axes.map((_, i) => axes.indexOf(i))),
      ],
    },
  },
  slice: {
    infer: ([x], { starts, sizes }) => {
      const fits = x.shape.every((n, i) => starts[i] >= 0 && sizes[i] >= 0 && starts[i] + sizes[i] <= n);
      const whole = [...starts, ...sizes].every(Number.isInteger);
      if (!fits || !whole || starts.length !== x.shape.length || sizes.length !== x.shape.length) {
        throw new ShapeError({
          where: 'slice',
          what: 'the range does not lie inside the tensor',
          got: `start ${formatShape(starts)}, size ${formatShape(sizes)} of ${formatShape(x.shape)}`,
          expected: 'whole numbers with 0 ≤ start and start + size ≤ size of the axis',
        });
      }
      return [{ shape: sizes, dtype: x.dtype }];
    },
    view: (input, { starts }) => ({
      strides: input.strides,
      offset: starts.reduce((sum, start, axis) => sum + start * input.strides[axis], input.offset),
    }),
    vjp: {
      saves: {},
      gradients: ({ gradient, inputInfos: [x], attributes: { starts, sizes } }) => [
        gradient().pad(
          starts,
          x.shape.map((n, i) => n - starts[i] - sizes[i]),
        ),
      ],
    },
  },
  expand: {
    infer: ([x], { shape }) => {
      checkShape('expand', shape);
      const target = broadcastShapes(x.shape, shape);
      if (!target || !sameShape(target, shape)) {
        throw new ShapeError({
          where: 'expand',
          what: 'only axes of size 1 can be repeated',
          got: formatShape(x.shape),
          expected: `a shape that broadcasts to ${formatShape(shape)}`,
        });
      }
      return [{ shape, dtype: x.dtype }];
    },
    view: (input, { shape }) => ({
      strides: broadcastStrides(input.shape, input.strides, shape),
      offset: input.offset,
    }),
    vjp: { saves: {}, gradients: ({ gradient, inputInfos: [x] }) => [sumToShape(gradient(), x.shape)] },
  },
  copy: {
    infer: ([x]) => [x],
    vjp: { saves: {}, gradients: ({ gradient }) => [gradient()] },
  },
  concat: {
    infer: (inputs, { axis }) => {
      requireSameDType('concat', inputs);
      const [first] = inputs;
      for (const { shape } of inputs) {
        if (shape.length !== first.shape.length || shape.some((n, i) => i !== axis && n !== first.shape[i])) {
          throw new ShapeError({
            where: 'concat',
            what: `shapes differ outside axis ${axis}`,
            got: describe(inputs),
          });
        }
      }
      const length = inputs.reduce((sum, { shape }) => sum + shape[axis], 0);
      return [{ shape: first.shape.map((n, i) => (i === axis ? length : n)), dtype: first.dtype }];
    },
    vjp: {
      saves: {},
      gradients: ({ gradient, inputInfos, needs, attributes: { axis } }) => {
        let start = 0;
        return inputInfos.map(({ shape }, i) => {
          const end = start + shape[axis];
          const part = needs(i) ? gradient().slice(axis, start, end) : null;
          start = end;
          return part;
        });
      },
    },
  },
  pad: {
    infer: ([x], { before, after }) => {
      const rank = x.shape.length;
      if (
        before.length !== rank ||
        after.length !== rank ||
        ![...before, ...after].every((n) => Number.isInteger(n) && n >= 0)
      ) {
        throw new ShapeError({
          where: 'pad',
          what: 'needs one non-negative width per axis and side',
          got: `before ${formatShape(before)}, after ${formatShape(after)} for ${formatShape(x.shape)}`,
        });
      }
      return [{ shape: x.shape.map((n, i) => n + before[i] + after[i]), dtype: x.dtype }];
    },
    vjp: {
      saves: {},
      gradients: ({ gradient, inputInfos: [x], attributes: { before } }) => [
        x.shape.reduce(
          (g, n, axis) => (g.shape[axis] === n ? g : g.slice(axis, before[axis], before[axis] + n)),
          gradient(),
        ),
      ],
    },
  },
});
