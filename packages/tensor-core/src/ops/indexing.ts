import { fill } from '../creation.js';
import { isFloating } from '../dtype.js';
import { ShapeError } from '../errors.js';
import { formatShape, type Shape } from '../shape.js';
import {
  requireCount,
  requireDType,
  requireFloat,
  requireMinRank,
  requireSameDType,
  requireShape,
} from './checks.js';
import { defineOps } from './definition.js';
import { scatterAddAlongAxis, scatterAddRows, where } from './functions.js';

/** Adding and subtracting it rounds an f32 below 2^22 to the nearest integer, ties to even. */
const ROUNDING = 1.5 * 2 ** 23;

/** Indices of takeAlongAxis have the shape of the data but for the indexed axis. */
function requireAligned(op: string, shape: Shape, indices: Shape, axis: number): void {
  if (shape.length === indices.length && shape.every((n, i) => i === axis || n === indices[i])) return;
  throw new ShapeError({
    where: op,
    what: `indices must have the shape of the data outside axis ${axis}`,
    got: `${formatShape(indices)} for ${formatShape(shape)}`,
  });
}

export const indexingOps = defineOps<
  'gatherRows' | 'scatterAddRows' | 'takeAlongAxis' | 'scatterAddAlongAxis' | 'topK' | 'sort'
>({
  gatherRows: {
    infer: ([table, indices]) => {
      requireMinRank('gatherRows', 'the table', table, 1);
      requireDType('gatherRows', 'indices', indices, 'i32');
      return [{ shape: [...indices.shape, ...table.shape.slice(1)], dtype: table.dtype }];
    },
    indices: ([table]) => [{ input: 1, limit: table.shape[0] }],
    vjp: {
      saves: { inputs: [1] },
      gradients: ({ gradient, input, inputInfos: [table] }) => {
        const indices = input(1).reshape(-1);
        const rows = gradient().reshape(indices.size, ...table.shape.slice(1));
        return [scatterAddRows(indices, rows, table.shape[0]), null];
      },
    },
  },
  // (indices [N], values [N, ...]) → [rows, ...]: values of equal indices are added in ascending position.
  scatterAddRows: {
    infer: ([indices, values], { rows }) => {
      requireDType('scatterAddRows', 'indices', indices, 'i32');
      requireMinRank('scatterAddRows', 'values', values, 1);
      requireShape('scatterAddRows', 'indices', indices, [values.shape[0]], [indices, values]);
      return [{ shape: [rows, ...values.shape.slice(1)], dtype: values.dtype }];
    },
    indices: (_, { rows }) => [{ input: 0, limit: rows }],
    vjp: {
      saves: { inputs: [0] },
      gradients: ({ gradient, input }) => [null, gradient().gatherRows(input(0))],
    },
  },
  takeAlongAxis: {
    infer: ([x, indices], { axis }) => {
      requireDType('takeAlongAxis', 'indices', indices, 'i32');
      requireAligned('takeAlongAxis', x.shape, indices.shape, axis);
      return [{ shape: indices.shape, dtype: x.dtype }];
    },
    indices: ([x], { axis }) => [{ input: 1, limit: x.shape[axis] }],
    vjp: {
      saves: { inputs: [1] },
      gradients: ({ gradient, input, inputInfos: [x], attributes: { axis } }) => [
        scatterAddAlongAxis(input(1), gradient(), axis, x.shape[axis]),
        null,
      ],
    },
  },
  // (indices, values) of equal shape → zeros with `size` along the axis, plus the values at their indices.
  scatterAddAlongAxis: {
    infer: ([indices, values], { axis, size }) => {
      requireDType('scatterAddAlongAxis', 'indices', indices, 'i32');
      requireShape('scatterAddAlongAxis', 'indices', indices, values.shape, [indices, values]);
      return [{ shape: values.shape.map((n, i) => (i === axis ? size : n)), dtype: values.dtype }];
    },
    indices: (_, { size }) => [{ input: 0, limit: size }],
    vjp: {
      saves: { inputs: [0] },
      gradients: ({ gradient, input, attributes: { axis } }) => [
        null,
        gradient().takeAlongAxis(input(0), axis),
      ],
    },
  },
  // The k largest of the last axis, descending; the smaller index first among equals → (values, indices i32).
  topK: {
    infer: ([x], { k }) => {
      requireMinRank('topK', 'the input', x, 1);
      requireCount('topK', x, k);
      const shape = [...x.shape.slice(0, -1), k];
      return [
        { shape, dtype: x.dtype },
        { shape, dtype: 'i32' },
      ];
    },
    vjp: {
      saves: { outputs: [1] },
      gradients: ({ gradient, output, inputInfos: [x] }) => {
        const axis = x.shape.length - 1;
        return [scatterAddAlongAxis(output(1), gradient(0), axis, x.shape[axis])];
      },
    },
  },
  // Stable sort of the last axis → (values, indices i32).
  sort: {
    infer: ([x]) => {
      requireMinRank('sort', 'the input', x, 1);
      return [x, { shape: x.shape, dtype: 'i32' }];
    },
    vjp: {
      saves: { outputs: [1] },
      gradients: ({ gradient, output, inputInfos: [x] }) => {
        const axis = x.shape.length - 1;
        return [scatterAddAlongAxis(output(1), gradient(0), axis, x.shape[axis])];
      },
    },
  },
});

export const mutationOps = defineOps<'assign' | 'writeRows' | 'writeQuantizedRows'>({
  assign: {
    mutates: [0],
    infer: (inputs) => {
      requireSameDType('assign', inputs);
      requireShape('assign', 'the value', inputs[1], inputs[0].shape, inputs);
      return [];
    },
  },
  // target[indices[i]] = rows[i], the last of equal indices; floating rows are rounded to the target's dtype.
  writeRows: {
    mutates: [0],
    infer: ([target, indices, rows]) => {
      requireMinRank('writeRows', 'the target', target, 1);
      requireDType('writeRows', 'indices', indices, 'i32');
      if (!(isFloating(target.dtype) && isFloating(rows.dtype)))
        requireSameDType('writeRows', [target, rows]);
      requireShape(
        'writeRows',
        'rows',
        rows,
        [indices.shape[0], ...target.shape.slice(1)],
        [target, indices, rows],
      );
      return [];
    },
    indices: ([target]) => [{ input: 1, limit: target.shape[0] }],
  },
  // The same into 8 bits: (codes i8 [L, ..., D], scales f32 [L, ...], indices [N], rows [N, ..., D]). Each vector of D
  // numbers gets scale = max |x| / 127 and codes = round(x · (127 / max |x|)), ties to even, in f32; below 1e-30 all are 0.
  writeQuantizedRows: {
    mutates: [0, 1],
    infer: (inputs) => {
      const [codes, scales, indices, rows] = inputs;
      requireMinRank('writeQuantizedRows', 'the codes', codes, 2);
      requireDType('writeQuantizedRows', 'codes', codes, 'i8');
      requireDType('writeQuantizedRows', 'scales', scales, 'f32');
      requireDType('writeQuantizedRows', 'indices', indices, 'i32');
      requireFloat('writeQuantizedRows', [rows]);
      requireShape('writeQuantizedRows', 'scales', scales, codes.shape.slice(0, -1), inputs);
      const shape = [indices.shape[0], ...codes.shape.slice(1)];
      requireShape('writeQuantizedRows', 'rows', rows, shape, inputs);
      return [];
    },
    indices: ([codes]) => [{ input: 2, limit: codes.shape[0] }],
    decompose: ([codes, scales, indices, rows]) => {
      const wide = rows.cast('f32');
      const largest = wide.abs().max(-1, true);
      const ceiling = where(largest.less(1e-30), fill({ shape: [], dtype: 'f32' }, 0, rows.backend), largest);
      const inverse = fill(largest, 127, rows.backend).div(largest.maximum(1e-30));
      const whole = wide
        .mul(where(largest.less(1e-30), ceiling, inverse))
        .add(ROUNDING)
        .sub(ROUNDING);
      scales.writeRows(indices, ceiling.div(127).reshape(indices.shape[0], ...scales.shape.slice(1)));
      codes.writeRows(indices, whole.cast('i8'));
      return [];
    },
  },
});
