import { type Shape, sizeOf, type TensorView } from '@frugal/tensor-core';
import { TILE_ROWS } from '../program.js';
import { addressOf, fill, numbers } from '../views.js';
import type { Family, Machine } from './machine.js';

const FLOAT_BYTES = 4;

/** A matrix in f32: where a tensor of f32 lies, or a widened copy that `release` frees. */
interface Floats {
  readonly address: number;
  release(): void;
}

function withFloats({ heap }: Machine, view: TensorView): Floats {
  if (view.dtype === 'f32') return { address: addressOf(view), release: () => {} };
  const bytes = sizeOf(view.shape) * FLOAT_BYTES;
  const address = heap.allocate(bytes);
  return { address, release: () => heap.free(address, bytes) };
}

function floatsAt({ heap }: Machine, address: number, count: number): Float32Array {
  return new Float32Array(heap.memory.buffer, address, count);
}

/** For each matrix of the output, which matrix of an operand it takes: axes of size 1 repeat. */
function matrixIndex(operand: Shape, output: Shape): (matrix: number) => number {
  const [own, all] = [operand.slice(0, -2), output.slice(0, -2)];
  const lead = all.length - own.length;
  return (matrix) => {
    let rest = matrix;
    let index = 0;
    let stride = 1;
    for (let axis = all.length - 1; axis >= lead; axis--) {
      const position = rest % all[axis];
      rest = Math.floor(rest / all[axis]);
      if (own[axis - lead] !== 1) index += position * stride;
      stride *= own[axis - lead];
    }
    return index;
  };
}

interface Product {
  readonly a: number;
  readonly b: number;
  readonly out: number;
  readonly M: number;
  readonly K: number;
  readonly N: number;
}

function multiply({ program }: Machine, { a, b, out, M, K, N }: Product): void {
  for (let row = 0; row < M; ) {
    const rows = M - row >= TILE_ROWS ? TILE_ROWS : 1;
    const kernel = program[`product_${rows}`];
    kernel(a + row * K * FLOAT_BYTES, b, out + row * N * FLOAT_BYTES, K, N);
    row += rows;
  }
}

export const matmulKernels: Family<'matmul'> = (machine) => ({
  matmul: ([a, b], [output]) => {
    const [M, N] = output.shape.slice(-2);
    const K = a.shape[a.shape.length - 1];
    const [left, right, result] = [a, b, output].map((view) => withFloats(machine, view));
    // No allocation from here on: it would detach these arrays.
    for (const [view, { address }] of [
      [a, left],
      [b, right],
    ] as const)
      if (view.dtype !== 'f32') floatsAt(machine, address, sizeOf(view.shape)).set(numbers(view));
    const [leftOf, rightOf] = [a, b].map((view) => matrixIndex(view.shape, output.shape));
    for (let matrix = 0; matrix < sizeOf(output.shape.slice(0, -2)); matrix++) {
      multiply(machine, {
        a: left.address + leftOf(matrix) * M * K * FLOAT_BYTES,
        b: right.address + rightOf(matrix) * K * N * FLOAT_BYTES,
        out: result.address + matrix * M * N * FLOAT_BYTES,
        ...{ M, K, N },
      });
    }
    if (output.dtype !== 'f32') fill(output, (out) => out.set(floatsAt(machine, result.address, out.length)));
    for (const floats of [left, right, result]) floats.release();
  },
});
