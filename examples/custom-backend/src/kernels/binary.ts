import { type Kernel, type OpName, sizeOf, type TensorView } from '@frugal/tensor-core';
import type { OperandKind, VectorBinary } from '../program.js';
import { addressOf, broadcast, fill } from '../views.js';
import type { Family, Machine } from './machine.js';

function each<N extends OpName>(compute: (x: number, y: number) => number): Kernel<N> {
  return ([a, b], [output]) => {
    const [x, y] = [broadcast(a, output.shape), broadcast(b, output.shape)];
    fill(output, (out) => {
      for (let i = 0; i < out.length; i++) out[i] = compute(x[i], y[i]);
    });
  };
}

/** How the module reads an operand; null where it must be repeated along some axes. */
function kindOf({ shape }: TensorView, size: number): OperandKind | null {
  if (sizeOf(shape) === size) return 'array';
  return sizeOf(shape) === 1 ? 'number' : null;
}

function vector<N extends OpName>(
  { program }: Machine,
  op: VectorBinary,
  compute: (x: number, y: number) => number,
): Kernel<N> {
  const slow = each<N>(compute);
  return (inputs, outputs, attributes) => {
    const [a, b] = inputs;
    const size = sizeOf(outputs[0].shape);
    const [left, right] = [kindOf(a, size), kindOf(b, size)];
    // Two single numbers give a single one, which the branch of arrays computes.
    if (a.dtype !== 'f32' || !left || !right) slow(inputs, outputs, attributes);
    else {
      const name = `${op}_${left}_${right}` as `${VectorBinary}_array_array`;
      program[name](addressOf(a), addressOf(b), addressOf(outputs[0]), size);
    }
  };
}

/** As in IEEE 754: 1 to any power is 1, even to NaN. */
function power(x: number, y: number): number {
  return x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y)) ? 1 : x ** y;
}

const multiply = each<'mul'>((x, y) => x * y);
/** Wraps modulo 2³², which needs more bits than a product of numbers has. */
const multiplyIntegers = each<'mul'>(Math.imul);

export const binaryKernels: Family<
  'add' | 'sub' | 'mul' | 'div' | 'pow' | 'maximum' | 'minimum' | 'equal' | 'less' | 'lessEqual' | 'where'
> = (machine) => {
  const vectorProduct = vector<'mul'>(machine, 'mul', (x, y) => x * y);
  return {
    add: vector(machine, 'add', (x, y) => x + y),
    sub: vector(machine, 'sub', (x, y) => x - y),
    mul: (inputs, outputs, attributes) => {
      const { dtype } = inputs[0];
      const kernel = dtype === 'f32' ? vectorProduct : dtype === 'i32' ? multiplyIntegers : multiply;
      kernel(inputs, outputs, attributes);
    },
    div: vector(machine, 'div', (x, y) => x / y),
    pow: each(power),
    maximum: each(Math.max),
    minimum: each(Math.min),
    equal: each((x, y) => Number(x === y)),
    less: each((x, y) => Number(x < y)),
    lessEqual: each((x, y) => Number(x <= y)),

    where: ([condition, a, b], [output]) => {
      const [chosen, x, y] = [condition, a, b].map((view) => broadcast(view, output.shape));
      fill(output, (out) => {
        for (let i = 0; i < out.length; i++) out[i] = chosen[i] ? x[i] : y[i];
      });
    },
  };
};
