import type { Backend } from './backend.js';
import { tensor } from './creation.js';
import { hadamardBlocks, hadamardMatrix } from './formats/index.js';
import { keep } from './scope.js';
import { noGrad } from './tape.js';
import type { Tensor } from './tensor.js';

/** The rows of x [..., C] turned as `hadamardRows` of the formats does, f32; `back`: the inverse. */
export function turnColumns(x: Tensor, back = false): Tensor {
  const { shape, backend } = x;
  const { outer, inner } = hadamardBlocks(shape[shape.length - 1]);
  const left = matrixOf(outer, backend);
  const right = matrixOf(inner, backend);
  const wide = x.cast('f32');
  if (back) {
    const blocks = wide.reshape(-1, outer).matmul(left).reshape(-1, inner, outer).transpose();
    return blocks
      .reshape(-1, inner)
      .matmul(right.transpose())
      .reshape(...shape);
  }
  const blocks = wide.reshape(-1, inner).matmul(right).reshape(-1, outer, inner).transpose();
  return blocks
    .reshape(-1, outer)
    .matmul(left.transpose())
    .reshape(...shape);
}

/** A few small matrices, as many as models have widths. */
const known = new WeakMap<Backend, Map<number, Tensor>>();

function matrixOf(order: number, backend: Backend): Tensor {
  const own = known.get(backend) ?? new Map<number, Tensor>();
  known.set(backend, own);
  const found = own.get(order);
  if (found && !found.disposed) return found;
  const values = Float32Array.from(hadamardMatrix(order));
  const made = keep(noGrad(() => tensor(values, { shape: [order, order], backend })));
  own.set(order, made);
  return made;
}
