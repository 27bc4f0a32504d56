import { tensor } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { TrainerError } from '../errors.js';
import type { Loss } from '../options.js';
import { scoreTargets, type TargetSequence } from '../token-logprobs.js';

/** An answer of the model with what it was worth. */
export interface PolicySample extends TargetSequence {
  /** How much better than the other answers of its group. */
  readonly advantage: number;
  /** log p of each target by the model that wrote the answer. */
  readonly old: Float32Array;
  /** The same by the model before training; needed when `klWeight` is not 0. */
  readonly reference?: Float32Array;
}

export interface PolicyBatch {
  readonly samples: readonly PolicySample[];
}

export interface PolicyOptions {
  /** How far the probability of a token may move for gain, as a share. Default 0.2. */
  readonly clip?: number;
  /** Weight of the divergence from the reference. Default 0.04. */
  readonly klWeight?: number;
}

/**
 * Group relative policy optimization (Shao et al. 2024, arXiv:2402.03300, eq. 3 and 4): per token
 * -min(r A, clamp(r, 1 ± ε) A) + β (π₀/π - log(π₀/π) - 1) with r = π/π_old, its mean over each answer, one item per answer.
 * @throws TrainerError when log-probabilities do not fit the targets
 */
export function policyLoss(model: CausalLM, options: PolicyOptions = {}): Loss<PolicyBatch> {
  const { clip = 0.2, klWeight = 0.04 } = options;
  return ({ samples }) => {
    const { logProbs, sequenceOf, counts, tokens, losses } = scoreTargets(model, samples);
    for (const [i, { old, reference }] of samples.entries()) {
      requireLength(i, 'old', old, counts[i]);
      if (klWeight !== 0) requireLength(i, 'reference', reference, counts[i]);
    }
    const perTarget = (of: (sample: PolicySample) => number) =>
      tensor(Float32Array.from(sequenceOf, (i) => of(samples[i]))); // [M]
    const advantage = perTarget((sample) => sample.advantage);
    const ratio = logProbs.sub(tensor(joined(samples.map(({ old }) => old)))).exp();
    const gain = ratio.mul(advantage).minimum(
      ratio
        .maximum(1 - clip)
        .minimum(1 + clip)
        .mul(advantage),
    );
    let loss = gain.neg();
    if (klWeight !== 0) {
      const away = tensor(joined(samples.map(({ reference }) => reference as Float32Array))).sub(logProbs);
      loss = loss.add(away.exp().sub(away).sub(1).mul(klWeight));
    }
    let sum = loss.mul(tensor(Float32Array.from(sequenceOf, (i) => 1 / counts[i]))).sum();
    for (const each of losses) sum = sum.add(each.mul(samples.length));
    return { sum, weight: samples.length, tokens };
  };
}

/** (reward - mean) / standard deviation of a group; all 0 when no answer is better than another. */
export function groupAdvantages(rewards: readonly number[]): number[] {
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
  const variance = rewards.reduce((sum, reward) => sum + (reward - mean) ** 2, 0) / rewards.length;
  return rewards.map((reward) => (variance > 1e-12 ? (reward - mean) / (Math.sqrt(variance) + 1e-4) : 0));
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function requireLength(
  sample: number,
  field: string,
  values: Float32Array | undefined,
  expected: number,
): void {
  if (values?.length === expected) return;
  throw new TrainerError({
    where: 'policyLoss',
    what: `sample ${sample}: ${field} needs one log-probability per target`,
    got: values ? String(values.length) : 'none',
    expected: String(expected),
  });
}
