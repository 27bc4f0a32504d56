import {
  BackendError,
  concat,
  keep,
  noGrad,
  scope,
  type Tensor,
  tensor,
  withBackend,
} from '@frugal/tensor-core';
import { FinishedStepError, TrainerError, UnchangedStepError } from './errors.js';
import { summarizeGradients } from './gradients.js';
import type { NamedParameter, Update } from './optimizers/optimizer.js';
import type { BatchLoss, Loss, TrainableModel, TrainOptions } from './options.js';
import { homeOfTraining } from './placement.js';
import { updateWhole } from './whole-update.js';

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
 * @throws UnchangedStepError when it fails before a parameter changes, FinishedStepError when memory ended later, but the step is
 *   made
 */
export async function launchStep<B>(
  options: TrainOptions<B>,
  parameters: readonly NamedParameter[],
  plan: StepPlan,
): Promise<LaunchedStep> {
  const { model, batches, loss, accumulate = 1 } = options;
  const { step, learningRate, lossScale } = plan;
  const parts: Part[] = [];
  let isUnchanged = true;
  try {
    for (let i = 0; i < accumulate; i++) {
      parts.push(addGradients(model, parameters, await batches.next(), loss, lossScale));
    }
    const weight = total(parts, 'weight');
    if (!(weight > 0)) {
      const what = `the items of step ${step} weigh nothing`;
      throw new TrainerError({ where: 'train', what, got: String(weight) });
    }
    const checks = [...new Set(parts.flatMap((part) => [...part.checks.keys()]))];
    const { outcome, failure } = onHome(model, parameters, () =>
      noGrad(() => {
        const { norm, scale } = summarizeGradients(
          parameters,
          weight * lossScale,
          options.clipNorm,
          parts[0].sum.backend,
        );
        const outcome = outcomeOf(parts, { weight, norm, checks, previous: plan.previous });
        const finite = outcome.slice(0, 2, 3).reshape();
        const updating = { learningRate, step: plan.update, scale, finite };
        isUnchanged = false;
        const failure = applyUpdate(options, parameters, step, updating);
        return { outcome, failure };
      }),
    );
    const values = outcome.toFloat32();
    values.catch(() => {}); // whoever awaits it sees the error; nobody does when the run ends early
    const launched = { step, learningRate, tokens: total(parts, 'tokens'), checks, outcome, values };
    if (failure) throw new FinishedStepError(launched, failure);
    return launched;
  } catch (error) {
    throw isUnchanged ? new UnchangedStepError(error) : error;
  } finally {
    for (const { sum, checks } of parts) for (const tensor of [sum, ...checks.values()]) tensor.dispose();
    for (const { parameter } of parameters) parameter.clearGradient();
  }
}

/** f32 [3 + checks]: loss, gradient norm, 1 if they and the step before are finite, then each check. */
function outcomeOf(
  parts: readonly Part[],
  {
    weight,
    norm,
    checks,
    previous,
  }: {
    readonly weight: number;
    readonly norm: Tensor;
    readonly checks: readonly string[];
    readonly previous: LaunchedStep | null;
  },
): Tensor {
  const mean = parts
    .map(({ sum }) => sum)
    .reduce((all, sum) => all.add(sum))
    .mul(1 / weight);
  const passed = checks.map((name) => passedBy(parts, name));
  const flag = [mean.add(norm).isFinite().cast('f32').reshape(1), ...passed].reduce((a, b) => a.mul(b));
  const finite = previous ? flag.mul(previous.outcome.slice(0, 2, 3)) : flag;
  return concat([mean.reshape(1), norm.reshape(1), finite, ...passed]);
}

/**
 * Everything that a step changes. Returns the error of a device whose memory ended on the way, when it came to its end all the
 * same.
 * @throws UnchangedStepError when it fails before anything has changed
 */
function applyUpdate<B>(
  { optimizer, afterStep, average }: TrainOptions<B>,
  parameters: readonly NamedParameter[],
  step: number,
  update: Update,
): BackendError | null {
  const failure = updateWhole(optimizer, parameters, update);
  afterStep?.(step, update.finite);
  try {
    average?.update(parameters, step);
    return failure;
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    for (const { parameter } of parameters) parameter.clearGradient();
    average?.update(parameters, step); // goes on where it was, with the memory of the gradients
    return error;
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
  model: TrainableModel,
  parameters: readonly NamedParameter[],
  batch: B,
  loss: Loss<B>,
  lossScale: number,
): Part {
  return onHome(model, parameters, () => {
    const { sum, weight, tokens = weight, checks = new Map() } = loss(batch);
    sum.backward(tensor(lossScale));
    const flags = [...checks].map(([name, check]) => [name, keep(check.detach())] as const);
    return { sum: sum.detach(), weight, tokens, checks: new Map(flags) };
  });
}

/** In a scope, with new tensors where the losses of the model are. */
function onHome<T>(model: TrainableModel, parameters: readonly NamedParameter[], fn: () => T): T {
  return withBackend(homeOfTraining(model, parameters), () => scope(fn));
}

function total(parts: readonly Part[], field: 'weight' | 'tokens'): number {
  return parts.reduce((sum, part) => sum + part[field], 0);
}
