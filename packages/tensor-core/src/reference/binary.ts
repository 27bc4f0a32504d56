import type { Kernel, TensorView } from '../backend.js';
import type { OpName } from '../ops/specs.js';
import { type Shape, sizeOf } from '../shape.js';
import { defineKernels } from './kernels.js';
import { type NumberArray, readBroadcast, readNumbers, writeNumbers } from './values.js';

/** out[i] = a[i · stepA] ∘ b[i · stepB]; a step of 0 repeats a single number. */
type Loop = (out: NumberArray, a: NumberArray, stepA: number, b: NumberArray, stepB: number) => void;

interface Operand {
  readonly values: NumberArray;
  readonly step: number;
}

function operand(view: TensorView, shape: Shape): Operand {
  if (sizeOf(view.shape) === 1) return { values: readNumbers(view), step: 0 };
  return { values: readBroadcast(view, shape), step: 1 };
}

function broadcasting<N extends OpName>(loop: Loop): Kernel<N> {
  return (inputs, [output]) => {
    const [a, b] = inputs.map((input) => operand(input, output.shape));
    writeNumbers(output, (out) => loop(out, a.values, a.step, b.values, b.step));
  };
}

function elementwise<N extends OpName>(compute: (x: number, y: number) => number): Kernel<N> {
  return broadcasting((out, a, stepA, b, stepB) => {
    for (let i = 0; i < out.length; i++) out[i] = compute(a[i * stepA], b[i * stepB]);
  });
}

/** IEEE 754 power: unlike Math.pow, 1 to any power is 1. */
function power(x: number, y: number): number {
  if (x === 1 || (x === -1 && Math.abs(y) === Number.POSITIVE_INFINITY)) return 1;
  return x ** y;
}

type BinaryOp =
  | ('add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'equal' | 'less' | 'lessEqual')
  | 'where';

export const binaryKernels = defineKernels<BinaryOp>({
  // The four hottest ops have loops of their own, without a call per element.
  add: broadcasting((out, a, stepA, b, stepB) => {
    for (let i = 0; i < out.length; i++) out[i] = a[i * stepA] + b[i * stepB];
  }),
  sub: broadcasting((out, a, stepA, b, stepB) => {
    for (let i = 0; i < out.length; i++) out[i] = a[i * stepA] - b[i * stepB];
  }),
  mul: broadcasting((out, a, stepA, b, stepB) => {
    if (out instanceof Int32Array) {
      // A product of two i32 needs more than the 53 bits of a number before it wraps.
      for (let i = 0; i < out.length; i++) out[i] = Math.imul(a[i * stepA], b[i * stepB]);
    } else {
      for (let i = 0; i < out.length; i++) out[i] = a[i * stepA] * b[i * stepB];
    }
  }),
  div: broadcasting((out, a, stepA, b, stepB) => {
    for (let i = 0; i < out.length; i++) out[i] = a[i * stepA] / b[i * stepB];
  }),
  pow: elementwise(power),
  // NaN on either side gives NaN.
  maximum: elementwise(Math.max),
  minimum: elementwise(Math.min),
  equal: elementwise((x, y) => (x === y ? 1 : 0)),
  less: elementwise((x, y) => (x < y ? 1 : 0)),
  lessEqual: elementwise((x, y) => (x <= y ? 1 : 0)),

  where: (inputs, [output]) => {
    const [condition, a, b] = inputs.map((input) => operand(input, output.shape));
    writeNumbers(output, (out) => {
      for (let i = 0; i < out.length; i++) {
        out[i] = condition.values[i * condition.step] ? a.values[i * a.step] : b.values[i * b.step];
      }
    });
  },
});
