import {
  ArgumentError,
  concat,
  type FloatDType,
  formatShape,
  scope,
  type Tensor,
  where,
} from '@frugal/tensor-core';
import type { Update } from './optimizer.js';
import { type SlotMember, SlotOptimizer } from './slots.js';

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

  protected override updateAll(members: readonly SlotMember[], update: Update): void {
    for (const { path, value } of members) requireMatrix(path, value);
    for (const stack of stacksOf(members)) scope(() => this.updateStack(stack, update));
  }

  /** Matrices of one shape go through the iteration together: one product of many matrices uses all threads. */
  private updateStack(stack: readonly SlotMember[], { learningRate, scale, finite }: Update): void {
    const { iterations = 5, dtype = 'f32', weightDecay = 0.1 } = this.options;
    const apply = finite.equal(0).logicalNot();
    const directions = stack.map((member) => scope(() => this.directionOf(member, scale)));
    const all = orthogonalize(concat(directions), iterations, dtype); // [S, M, N]
    const [rows, columns] = all.shape.slice(-2);
    const rate = learningRate * 0.2 * Math.sqrt(Math.max(rows, columns));
    let start = 0;
    for (const [i, member] of stack.entries()) {
      const { value } = member;
      const end = start + directions[i].shape[0];
      scope(() => {
        const direction = all
          .slice(0, start, end)
          .reshape(...value.shape)
          .mul(rate);
        // Not parameter · (1 - rate · decay): rounded to f32, that factor drifts over many steps.
        const moved = value.sub(value.mul(learningRate * weightDecay).add(direction));
        const next = where(apply, moved, value);
        // Once more: to keep all of them until now would take as much memory as the weights.
        const { velocity, faster } = this.accelerated(member, scale);
        const momentum = where(apply, faster, velocity);
        value.assign(next);
        velocity.assign(momentum);
      });
      start = end;
    }
  }

  /** The momentum before and after this update. */
  private accelerated({ gradient, slots: [velocity] }: SlotMember, scale: Tensor) {
    const { momentum = 0.95 } = this.options;
    const g = gradient.cast('f32').mul(scale);
    return { velocity, g, faster: velocity.mul(momentum).add(g) };
  }

  /** Where to go, as a stack of matrices [S, M, N]. */
  private directionOf(member: SlotMember, scale: Tensor): Tensor {
    const { momentum = 0.95, nesterov = true } = this.options;
    const { g, faster } = this.accelerated(member, scale);
    const direction = nesterov ? g.add(faster.mul(momentum)) : faster;
    return direction.reshape(-1, ...direction.shape.slice(-2));
  }
}

function requireMatrix(path: string, value: Tensor): void {
  if (value.rank >= 2) return;
  throw new ArgumentError({
    where: 'muon',
    what: `the parameter ${path} is not a matrix`,
    got: formatShape(value.shape),
    hint: 'Give vectors to AdamW with parameter groups.',
  });
}

/** Members whose matrices have one shape. */
function stacksOf(members: readonly SlotMember[]): SlotMember[][] {
  const stacks = new Map<string, SlotMember[]>();
  for (const member of members) {
    const shape = member.value.shape.slice(-2).join();
    const stack = stacks.get(shape);
    if (stack) stack.push(member);
    else stacks.set(shape, [member]);
  }
  return [...stacks.values()];
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
