import { ArgumentError, type FloatDType, formatShape, type Tensor, where } from '@frugal/tensor-core';
import type { Update } from './optimizer.js';
import { SlotOptimizer } from './slots.js';

export interface MuonOptions {
  /** Default 0.95. */
  readonly momentum?: number;
  /** Default true. */
  readonly nesterov?: boolean;
  /** Newton–Schulz iterations. Default 5. */
  readonly iterations?: number;
  /** Dtype of the Newton–Schulz iteration, which forgives rounding: bf16 is twice as fast. Default f32. */
  readonly dtype?: FloatDType;
  /** Decoupled: parameter -= learningRate · weightDecay · parameter. Default 0.1. */
  readonly weightDecay?: number;
}

/**
 * Muon (Jordan et al. 2024): momentum whose singular values are all made about 1, for matrices inside a network
 * ([..., rows, columns]; leading axes are separate matrices, such as experts). Updates are multiplied by
 * 0.2 · √max(rows, columns), so that learning rates of AdamW fit (Liu et al. 2025, arXiv:2502.16982).
 * Embeddings, heads, norms and biases belong to AdamW: see {@link ParameterGroups}.
 */
export class Muon extends SlotOptimizer {
  constructor(private readonly options: MuonOptions = {}) {
    super(['momentum']);
  }

  protected override update(parameter: Tensor, gradient: Tensor, [velocity]: Tensor[], update: Update): void {
    const {
      momentum = 0.95,
      nesterov = true,
      iterations = 5,
      dtype = 'f32',
      weightDecay = 0.1,
    } = this.options;
    const { learningRate, scale, finite } = update;
    if (parameter.rank < 2) {
      throw new ArgumentError({
        where: 'muon',
        what: 'the parameter is not a matrix',
        got: formatShape(parameter.shape),
        hint: 'Give vectors to AdamW with parameter groups.',
      });
    }
    const apply = finite.equal(0).logicalNot();
    const g = gradient.cast('f32').mul(scale);
    const next = velocity.mul(momentum).add(g);
    const direction = orthogonalize(nesterov ? g.add(next.mul(momentum)) : next, iterations, dtype);
    const rate = learningRate * 0.2 * Math.sqrt(Math.max(...parameter.shape.slice(-2)));
    // Not parameter · (1 - rate · decay): rounded to f32, that factor drifts over many steps.
    const moved = parameter.sub(parameter.mul(learningRate * weightDecay).add(direction.mul(rate)));
    velocity.assign(where(apply, next, velocity));
    parameter.assign(where(apply, moved, parameter));
  }
}

/**
 * U Vᵀ of the singular value decomposition U S Vᵀ of x [..., M, N], roughly: a quintic Newton–Schulz iteration
 * brings every singular value into about [0.7, 1.2].
 */
export function orthogonalize(x: Tensor, iterations: number, dtype: FloatDType = 'f32'): Tensor {
  const [rows, columns] = x.shape.slice(-2);
  const isTall = rows > columns;
  const norm = x.mul(x).sum([-2, -1], true).sqrt().maximum(1e-7);
  let y = (isTall ? x.transpose() : x).div(isTall ? norm.transpose() : norm).cast(dtype); // [..., min, max]
  for (let i = 0; i < iterations; i++) {
    const gram = y.matmul(y.transpose()); // [..., min, min]
    y = y.mul(3.4445).add(gram.mul(-4.775).add(gram.matmul(gram).mul(2.0315)).matmul(y));
  }
  return (isTall ? y.transpose() : y).cast(x.dtype);
}
