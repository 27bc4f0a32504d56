import { concat, noGrad, scope, type Tensor, tensor, withBackend } from '@frugal/tensor-core';
import { TrainerError } from './errors.js';
import { summarizeGradients } from './gradients.js';
import type { NamedParameter } from './optimizers/optimizer.js';
import type { BatchLoss, Loss, TrainOptions } from './options.js';

export interface StepPlan {
  /** Counts from 1. */
  readonly step: number;
  /** Number of the update for the optimizer, from 1: smaller than `step` where steps were skipped. */
  readonly update: number;
  readonly learningRate: number;
  readonly lossScale: number;
  /** A step whose outcome nobody has looked at yet: if it was not finite, this one changes nothing either. */
  readonly previous: LaunchedStep | null;
}

/** A step that is enqueued on the device and may still be running. */
export interface LaunchedStep extends Pick<StepPlan, 'step' | 'learningRate'> {
  readonly tokens: number;
  /** f32 [3]: loss, gradient norm, 1 if finite. To be disposed. */
  readonly outcome: Tensor;
  /** The values of `outcome`, asked for before the next step is enqueued. */
  readonly values: Promise<Float32Array>;
}

/** Draws the micro-batches of one step, adds up their gradients and updates the parameters; waits for no value. */
export async function launchStep<B>(
  { batches, loss, optimizer, accumulate = 1, clipNorm, afterStep }: TrainOptions<B>,
  parameters: readonly NamedParameter[],
  plan: StepPlan,
): Promise<LaunchedStep> {
  const { step, learningRate, lossScale, previous } = plan;
  const parts: Required<BatchLoss>[] = [];
  try {
    for (let i = 0; i < accumulate; i++) {
      parts.push(addGradients(parameters, await batches.next(), loss, lossScale));
    }
    const weight = total(parts, 'weight');
    if (!(weight > 0)) {
      const what = `the items of step ${step} weigh nothing`;
      throw new TrainerError({ where: 'train', what, got: String(weight) });
    }
    const outcome = update(parameters, () => {
      const { norm, scale } = summarizeGradients(parameters, weight * lossScale, clipNorm);
      const sums = parts.map(({ sum }) => sum);
      const mean = sums.reduce((all, sum) => all.add(sum)).mul(1 / weight);
      const flag = mean.add(norm).isFinite().cast('f32').reshape(1);
      const finite = previous ? flag.mul(previous.outcome.slice(0, 2, 3)) : flag;
      optimizer.step(parameters, { learningRate, step: plan.update, scale, finite: finite.reshape() });
      afterStep?.(step);
      return concat([mean.reshape(1), norm.reshape(1), finite]);
    });
    const values = outcome.toFloat32();
    values.catch(() => {}); // whoever awaits it sees the error; nobody does when the run ends early
    return { step, learningRate, tokens: total(parts, 'tokens'), outcome, values };
  } finally {
    for (const { sum } of parts) sum.dispose();
    for (const { parameter } of parameters) parameter.clearGradient();
  }
}

function addGradients<B>(
  parameters: readonly NamedParameter[],
  batch: B,
  loss: Loss<B>,
  lossScale: number,
): Required<BatchLoss> {
  return onBackendOf(parameters, () => {
    const { sum, weight, tokens = weight } = loss(batch);
    sum.backward(tensor(lossScale));
    return { sum: sum.detach(), weight, tokens };
  });
}

function update(parameters: readonly NamedParameter[], fn: () => Tensor): Tensor {
  return noGrad(() => onBackendOf(parameters, fn));
}

/** In a scope, with new tensors on the device of the parameters. */
function onBackendOf<T>([{ parameter }]: readonly NamedParameter[], fn: () => T): T {
  return withBackend(parameter.value.backend, () => scope(fn));
}

function total(parts: readonly Required<BatchLoss>[], field: 'weight' | 'tokens'): number {
  return parts.reduce((sum, part) => sum + part[field], 0);
}
