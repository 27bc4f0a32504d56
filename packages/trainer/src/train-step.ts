import { concat, keep, noGrad, scope, type Tensor, tensor, withBackend } from '@frugal/tensor-core';
import { TrainerError, UnchangedStepError } from './errors.js';
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
  /** f32 [3 + checks]: loss, gradient norm, 1 if finite, then each check. To be disposed. */
  readonly outcome: Tensor;
  readonly checks: readonly string[];
  /** The values of `outcome`, asked for before the next step is enqueued. */
  readonly values: Promise<Float32Array>;
}

/**
 * Draws the micro-batches of one step, adds up their gradients and updates the parameters; waits for no value.
 * @throws UnchangedStepError when it fails before the optimizer begins
 */
export async function launchStep<B>(
  { batches, loss, optimizer, accumulate = 1, clipNorm, afterStep, average }: TrainOptions<B>,
  parameters: readonly NamedParameter[],
  plan: StepPlan,
): Promise<LaunchedStep> {
  const { step, learningRate, lossScale, previous } = plan;
  const parts: Part[] = [];
  let isUnchanged = true;
  try {
    for (let i = 0; i < accumulate; i++) {
      parts.push(addGradients(parameters, await batches.next(), loss, lossScale));
    }
    const weight = total(parts, 'weight');
    if (!(weight > 0)) {
      const what = `the items of step ${step} weigh nothing`;
      throw new TrainerError({ where: 'train', what, got: String(weight) });
    }
    const checks = [...new Set(parts.flatMap((part) => [...part.checks.keys()]))];
    const outcome = update(parameters, () => {
      const { norm, scale } = summarizeGradients(parameters, weight * lossScale, clipNorm);
      const sums = parts.map(({ sum }) => sum);
      const mean = sums.reduce((all, sum) => all.add(sum)).mul(1 / weight);
      const passed = checks.map((name) => passedBy(parts, name));
      const flag = [mean.add(norm).isFinite().cast('f32').reshape(1), ...passed].reduce((a, b) => a.mul(b));
      const finite = previous ? flag.mul(previous.outcome.slice(0, 2, 3)) : flag;
      isUnchanged = false;
      optimizer.step(parameters, { learningRate, step: plan.update, scale, finite: finite.reshape() });
      afterStep?.(step, finite.reshape());
      average?.update(parameters, step);
      return concat([mean.reshape(1), norm.reshape(1), finite, ...passed]);
    });
    const values = outcome.toFloat32();
    values.catch(() => {}); // whoever awaits it sees the error; nobody does when the run ends early
    return { step, learningRate, tokens: total(parts, 'tokens'), checks, outcome, values };
  } catch (error) {
    throw isUnchanged ? new UnchangedStepError(error) : error;
  } finally {
    for (const { sum, checks } of parts) for (const tensor of [sum, ...checks.values()]) tensor.dispose();
    for (const { parameter } of parameters) parameter.clearGradient();
  }
}

/** What is left of a micro-batch once its gradients are added; its tensors are outside of all scopes. */
export type Part = Required<BatchLoss>;

/** f32 [1]: 1 where a check passed in all micro-batches that made it. */
function passedBy(parts: readonly Part[], name: string): Tensor {
  const made = parts.map(({ checks }) => checks.get(name)).filter((check) => check !== undefined);
  return made.reduce((a, b) => a.mul(b)).reshape(1);
}

/** Adds the gradients of one micro-batch to those of the parameters. */
export function addGradients<B>(
  parameters: readonly NamedParameter[],
  batch: B,
  loss: Loss<B>,
  lossScale: number,
): Part {
  return onBackendOf(parameters, () => {
    const { sum, weight, tokens = weight, checks = new Map() } = loss(batch);
    sum.backward(tensor(lossScale));
    const flags = [...checks].map(([name, check]) => [name, keep(check.detach())] as const);
    return { sum: sum.detach(), weight, tokens, checks: new Map(flags) };
  });
}

function update(parameters: readonly NamedParameter[], fn: () => Tensor): Tensor {
  return noGrad(() => onBackendOf(parameters, fn));
}

/** In a scope, with new tensors on the device of the parameters. */
function onBackendOf<T>([{ parameter }]: readonly NamedParameter[], fn: () => T): T {
  return withBackend(parameter.value.backend, () => scope(fn));
}

function total(parts: readonly Part[], field: 'weight' | 'tokens'): number {
  return parts.reduce((sum, part) => sum + part[field], 0);
}
