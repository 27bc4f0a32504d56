import {
  concat,
  crossEntropy,
  dispatch,
  keep,
  noGrad,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '@frugal/tensor-core';

export interface FitGateOptions {
  /** Rows of experts that are there already, f32 [E₀, C]: they stay, and the new ones are fitted beside them. */
  readonly frozen?: Tensor | null;
  /** Default 200. */
  readonly steps?: number;
  /** Pulls rows towards 0, so that tokens which could be of any domain do not decide. Default 0.01. */
  readonly weightDecay?: number;
}

const LEARNING_RATE = 0.05;
/** How much more the text of old domains counts: sending theirs to a new expert hurts what worked before. */
const OLD_WEIGHT = 3;

/**
 * The gate of a layer whose experts each know one domain: multinomial logistic regression from what the layer sees,
 * x [N, C], to the expert that the text of each row belongs to, i32 [N]. Full-batch AdamW from zero; every domain counts
 * alike, however many rows it has. Gives f32 [E, C].
 */
export function fitGate(
  x: Tensor,
  experts: Int32Array,
  count: number,
  { frozen = null, steps = 200, weightDecay = 0.01 }: FitGateOptions = {},
): Tensor {
  const { backend } = x;
  const C = x.shape[1];
  const fixed = frozen?.shape[0] ?? 0;
  const shape = [count - fixed, C];
  const [targets, weights] = [tensor(experts, { backend }), tensor(balanced(experts, fixed), { backend })];
  const fitted = keep(zeros(shape, { backend })).setRequiresGrad(true);
  const moments = [keep(zeros(shape, { backend })), keep(zeros(shape, { backend }))];
  const one = tensor(1, { backend });
  for (let step = 1; step <= steps; step++) {
    scope(() => {
      const rows = frozen ? concat([frozen, fitted]) : fitted;
      crossEntropy(x.matmul(rows.transpose()), targets).mul(weights).sum().backward();
      const update = { learningRate: LEARNING_RATE * (1 - (step - 1) / steps), step, weightDecay };
      const attributes = { ...update, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, copies: false };
      noGrad(() => dispatch('adamw', [fitted, ...moments, fitted.grad as Tensor, one, one], attributes));
    });
    fitted.grad?.dispose();
    fitted.grad = null;
  }
  const all = noGrad(() => (frozen ? concat([frozen, fitted]) : fitted.copy()));
  for (const each of [fitted, ...moments, targets, weights, one]) each.dispose();
  return all;
}

/** Weights of rows that sum to one, and to the same for every old and for every new expert that has rows. */
function balanced(experts: Int32Array, old: number): Float32Array {
  const counts = new Map<number, number>();
  for (const expert of experts) counts.set(expert, (counts.get(expert) ?? 0) + 1);
  const shareOf = (expert: number) => (expert < old ? OLD_WEIGHT : 1);
  const total = [...counts.keys()].reduce((sum, expert) => sum + shareOf(expert), 0);
  return Float32Array.from(experts, (expert) => shareOf(expert) / (total * (counts.get(expert) as number)));
}
