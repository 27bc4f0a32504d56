import { noGrad, scatterAddRows, scope, type Tensor, tensor, withBackend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { TrainerError } from './errors.js';
import type { Loss } from './options.js';
import { scoreTargets, type TargetSequence } from './token-logprobs.js';

/** Two answers to one question, of which people prefer the first. Targets stand on the answers alone. */
export interface PreferencePair {
  readonly chosen: TargetSequence;
  readonly rejected: TargetSequence;
  /** log p of both answers by the model before training; see {@link withReference}. */
  readonly reference?: { readonly chosen: number; readonly rejected: number };
}

export interface PreferenceBatch {
  readonly pairs: readonly PreferencePair[];
}

export interface PreferenceOptions {
  /** How strongly the model is held to the reference. Default 0.1. */
  readonly beta?: number;
  /** Share of pairs whose order is taken to be wrong, 0 to below 0.5. Default 0. */
  readonly labelSmoothing?: number;
  /** A frozen copy of the model before training, for pairs that do not bring its numbers. */
  readonly reference?: CausalLM;
}

/**
 * Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290, eq. 7): with the margin
 * z = β · (log π(chosen)/π₀(chosen) - log π(rejected)/π₀(rejected)) the loss of a pair is -log σ(z); smoothed:
 * -(1 - ε) log σ(z) - ε log σ(-z).
 * @throws TrainerError for options out of range, and pairs without a reference
 */
export function preferenceLoss(model: CausalLM, options: PreferenceOptions = {}): Loss<PreferenceBatch> {
  const { beta = 0.1, labelSmoothing = 0, reference } = options;
  requireRange('beta', beta, beta > 0, 'a positive number');
  requireRange(
    'labelSmoothing',
    labelSmoothing,
    labelSmoothing >= 0 && labelSmoothing < 0.5,
    '0 to below 0.5',
  );
  return ({ pairs }) => {
    const { margins, tokens, losses } = answerMargins(model, pairs); // [P]
    const z = margins.sub(referenceMargins(pairs, reference)).mul(beta);
    let sum = softplus(z.neg())
      .sum()
      .mul(1 - labelSmoothing);
    if (labelSmoothing > 0) sum = sum.add(softplus(z).sum().mul(labelSmoothing));
    for (const loss of losses) sum = sum.add(loss.mul(pairs.length));
    return { sum, weight: pairs.length, tokens };
  };
}

/** Loss in nats, share of pairs in the right order and mean margin z, for evaluations; no gradients. */
export async function preferenceMetrics(
  model: CausalLM,
  batch: PreferenceBatch,
  options: PreferenceOptions = {},
): Promise<{ readonly loss: number; readonly accuracy: number; readonly margin: number }> {
  const { beta = 0.1, reference } = options;
  const margins = withoutGradients(model, () =>
    answerMargins(model, batch.pairs).margins.sub(referenceMargins(batch.pairs, reference)).mul(beta),
  );
  const values = await margins.toFloat32().finally(() => margins.dispose());
  const mean = (of: (z: number) => number) => values.reduce((sum, z) => sum + of(z), 0) / values.length;
  return {
    loss: mean((z) => Math.max(-z, 0) + Math.log1p(Math.exp(-Math.abs(z)))),
    accuracy: mean((z) => Number(z > 0)),
    margin: mean((z) => z),
  };
}

/** The pairs with what `reference` says about them: then training needs no second model in memory. */
export async function withReference(
  reference: CausalLM,
  pairs: readonly PreferencePair[],
  { batch = 8 } = {},
): Promise<PreferencePair[]> {
  const done: PreferencePair[] = [];
  for (let start = 0; start < pairs.length; start += batch) {
    const part = pairs.slice(start, start + batch);
    const sums = withoutGradients(reference, () => answerLogProbs(reference, part).sums);
    const values = await sums.toFloat32().finally(() => sums.dispose());
    part.forEach(({ chosen, rejected }, i) => {
      done.push({ chosen, rejected, reference: { chosen: values[2 * i], rejected: values[2 * i + 1] } });
    });
  }
  return done;
}

/** Σ log p of each answer, chosen and rejected in turns: [2 P]. */
function answerLogProbs(model: CausalLM, pairs: readonly PreferencePair[]) {
  const texts = pairs.flatMap(({ chosen, rejected }) => [chosen, rejected]);
  const { logProbs, sequenceOf, counts, tokens, losses } = scoreTargets(model, texts);
  const empty = counts.indexOf(0);
  if (empty >= 0) {
    throw new TrainerError({
      where: 'preferenceLoss',
      what: `the ${empty % 2 === 0 ? 'chosen' : 'rejected'} answer of pair ${empty >> 1} is empty`,
      hint: 'Leave such pairs out of the data.',
    });
  }
  return { sums: scatterAddRows(tensor(sequenceOf), logProbs, texts.length), tokens, losses };
}

/** log p(chosen) - log p(rejected) of each pair: [P]. */
function answerMargins(model: CausalLM, pairs: readonly PreferencePair[]) {
  const { sums, tokens, losses } = answerLogProbs(model, pairs);
  const both = sums.reshape(pairs.length, 2);
  const margins = both
    .slice(1, 0, 1)
    .sub(both.slice(1, 1, 2))
    .reshape(-1);
  return { margins, tokens, losses };
}

function referenceMargins(pairs: readonly PreferencePair[], reference: CausalLM | undefined): Tensor {
  const known = pairs.flatMap((pair) =>
    pair.reference ? [pair.reference.chosen - pair.reference.rejected] : [],
  );
  if (known.length === pairs.length) return tensor(Float32Array.from(known));
  if (reference) return noGrad(() => answerMargins(reference, pairs).margins);
  throw new TrainerError({
    where: 'preferenceLoss',
    what: 'there is no reference for some pairs',
    got: `${known.length} of ${pairs.length} pairs with one`,
    hint: 'Give a frozen copy of the model as reference, or put the pairs through withReference first.',
  });
}

/** log(1 + exp(x)) = -log σ(-x), also for large x. */
function softplus(x: Tensor): Tensor {
  return x.maximum(0).add(x.abs().neg().exp().add(1).log());
}

function withoutGradients(model: CausalLM, fn: () => Tensor): Tensor {
  const { backend } = model.parameters()[0].value;
  return withBackend(backend, () => noGrad(() => scope(() => fn())));
}

function requireRange(name: string, value: number, isFine: boolean, expected: string): void {
  if (isFine) return;
  throw new TrainerError({ where: 'preferenceLoss', what: `bad ${name}`, got: String(value), expected });
}
