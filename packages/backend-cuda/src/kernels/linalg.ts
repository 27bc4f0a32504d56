import { attribute, type Value } from '../binding.js';
import type { Device } from '../device.js';
import { read, write } from '../views.js';
import type { Family } from './family.js';

/** Column by column, for matrices that are not positive definite: NaN from the failing column on. */
function choleskyByColumns(device: Device, matrix: Value): Value {
  const N = matrix.shape[0];
  const nan = device.cast(device.scalar(Number.NaN, 'f32'), 'f64');
  const zero = device.cast(device.scalar(0, 'i32'), 'f64');
  let lower = device.take(device.fill([N, 0], 0, 'f64')); // [N, j]
  for (let j = 0; j < N; j++) {
    const wider = device.frame(() => {
      const below = device.slice(lower, [j, 0], [N - j, j]);
      const row = device.slice(lower, [j, 0], [1, j]);
      const done = device.run('MatMul', [below, row], [attribute.bool('transpose_b', true)]);
      const rest = device.run('Sub', [device.slice(matrix, [j, j], [N - j, 1]), done]);
      const pivot = device.slice(rest, [0, 0], [1, 1]);
      const isPositive = device.run('Greater', [pivot, zero]);
      const root = device.run('Sqrt', [device.run('SelectV2', [isPositive, pivot, nan])]);
      const under = device.run('RealDiv', [device.slice(rest, [1, 0], [N - j - 1, 1]), root]);
      const column = device.concat([device.fill([j, 1], 0, 'f64'), root, under], 0);
      return device.take(device.concat([lower, column], 1));
    });
    device.delete(lower);
    lower = wider;
  }
  const result = device.cast(lower, 'f32');
  device.delete(lower);
  return result;
}

function cholesky(device: Device, matrix: Value): Value {
  const lower = device.run('Cholesky', [matrix]);
  // TensorFlow gives NaN alone when a pivot is not positive. To know it, this op waits for its result.
  const failed = device.run('Any', [device.run('IsNan', [lower]), device.vector([0, 1])]);
  return device.download(failed)[0] ? choleskyByColumns(device, matrix) : device.cast(lower, 'f32');
}

export const linalgKernels: Family<'cholesky' | 'triangularSolve'> = (device) => ({
  cholesky: ([matrix], [output]) =>
    write(device, output, cholesky(device, device.cast(read(device, matrix), 'f64'))),

  triangularSolve: ([lower, right], [output], { transpose }) => {
    const wide = [lower, right].map((view) => device.cast(read(device, view), 'f64'));
    const attributes = [attribute.bool('lower', true), attribute.bool('adjoint', transpose)];
    write(device, output, device.cast(device.run('MatrixTriangularSolve', wide, attributes), 'f32'));
  },
});
