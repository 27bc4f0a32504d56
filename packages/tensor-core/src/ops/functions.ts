import { dispatch, run } from '../dispatch.js';
import { ArgumentError } from '../errors.js';
import type { PackedActivation } from '../formats/index.js';
import { normalizeAxis } from '../shape.js';
import type { Tensor } from '../tensor.js';
import type { AttentionAttributes, GateActivation, PackedAttributes } from './specs.js';

/** Ops over several tensors, as functions; ops on one tensor are methods of {@link Tensor}. */

/** condition ? a : b, elementwise with broadcasting. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return run('where', [condition, a, b], {});
}

export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  if (tensors.length === 0) {
    throw new ArgumentError({
      where: 'concat',
      what: 'nothing to join',
      got: 'no tensors',
      expected: 'at least one',
    });
  }
  return run('concat', tensors, { axis: normalizeAxis('concat', axis, tensors[0].rank) });
}

/** Zeros [rows, ...] plus values [N, ...] at rows `indices` i32 [N]. */
export function scatterAddRows(indices: Tensor, values: Tensor, rows: number): Tensor {
  return run('scatterAddRows', [indices, values], { rows });
}

export function scatterAddAlongAxis(indices: Tensor, values: Tensor, axis: number, size: number): Tensor {
  return run('scatterAddAlongAxis', [indices, values], { axis, size });
}

/** The k largest of the last axis, descending. */
export function topK(x: Tensor, k: number): { readonly values: Tensor; readonly indices: Tensor } {
  const [values, indices] = dispatch('topK', [x], { k });
  return { values, indices };
}

/** softmax(logits) of the last axis, and the k largest of them, descending; among equal ones the smaller index first. */
export function softmaxTopK(
  logits: Tensor,
  k: number,
): { readonly probabilities: Tensor; readonly values: Tensor; readonly indices: Tensor } {
  const [probabilities, values, indices] = dispatch('softmaxTopK', [logits], { k });
  return { probabilities, values, indices };
}

/** Stable sort of the last axis. */
export function sort(
  x: Tensor,
  { descending = false } = {},
): { readonly values: Tensor; readonly indices: Tensor } {
  const [values, indices] = dispatch('sort', [x], { descending });
  return { values, indices };
}

/** Exact products of i8 matrices: a [..., M, K] times bᵀ with b [..., N, K], as i32 [..., M, N]. */
export function integerMatmul(a: Tensor, b: Tensor): Tensor {
  return run('integerMatmul', [a, b], {});
}

/** x / √(mean(x²) + ε) · weight over the last axis. */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  return run('rmsNorm', [x, weight], { epsilon });
}

/** The residual sum x + y, and rmsNorm of it: two steps of a decoder block in one pass over memory. */
export function addRmsNorm(
  x: Tensor,
  y: Tensor,
  weight: Tensor,
  epsilon: number,
): { readonly sum: Tensor; readonly normalized: Tensor } {
  const [sum, normalized] = dispatch('addRmsNorm', [x, y, weight], { epsilon });
  return { sum, normalized };
}

export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  return run('layerNorm', [x, weight, bias], { epsilon });
}

/** activation(gate) · up. */
export function swiglu(gate: Tensor, up: Tensor, activation: GateActivation = 'silu'): Tensor {
  return run('swiglu', [gate, up], { activation });
}

/** Rotates pairs of x [N, H, D] by the angles whose cos and sin [N, R] are given. */
export function rope(x: Tensor, cos: Tensor, sin: Tensor, { interleaved = false } = {}): Tensor {
  return run('rope', [x, cos, sin], { interleaved, inverse: false });
}

/** Attention within packed sequences: q [N, H, D], k [N, K, D], v [N, K, Dv], sequenceStarts i32 [S + 1] → [N, H, Dv]. */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  sequenceStarts: Tensor,
  attributes: AttentionAttributes,
): Tensor {
  return run('attention', [q, k, v, sequenceStarts], attributes);
}

/** -log softmax(logits)[target] per row: logits [N, V], targets i32 [N] → f32 [N]. Ignored rows give 0. */
export function crossEntropy(logits: Tensor, targets: Tensor, { ignoreIndex = -100 } = {}): Tensor {
  return run('crossEntropy', [logits, targets], { ignoreIndex });
}

/** KL(teacher ‖ student) per row of logits [N, V] at a temperature, without the factor T². */
export function klDivergence(student: Tensor, teacher: Tensor, { temperature = 1 } = {}): Tensor {
  return run('klDivergence', [student, teacher], { temperature });
}

/** Σ x² over all elements of all tensors: f32 []. */
export function sumOfSquares(...tensors: Tensor[]): Tensor {
  return run('sumOfSquares', tensors, {});
}

/** Lower L with L Lᵀ = matrix; NaN where the matrix is not positive definite. */
export function cholesky(matrix: Tensor): Tensor {
  return run('cholesky', [matrix], {});
}

/** X with L X = right, or Lᵀ X = right with `transpose`. */
export function triangularSolve(lower: Tensor, right: Tensor, { transpose = false } = {}): Tensor {
  return run('triangularSolve', [lower, right], { transpose });
}

/** x Wᵀ (or x W with `transpose`) for a packed W; see PackedTensor. */
export function packedMatmul(
  x: Tensor,
  parts: readonly Tensor[],
  attributes: PackedAttributes & { transpose?: boolean; activation?: PackedActivation },
): Tensor {
  return run('packedMatmul', [x, ...parts], { transpose: false, activation: 'none', ...attributes });
}

/** Rows of x [N, C] times the matrix of their group; see ops/grouped.ts. */
export function groupedMatmul(
  x: Tensor,
  weight: Tensor,
  offsets: Tensor,
  { transposeWeight = false } = {},
): Tensor {
  return run('groupedMatmul', [x, weight, offsets], { transposeWeight });
}
