import { noGrad, scope, tensor } from '@frugal/tensor-core';
import type { Module } from '@frugal/tensor-core/nn';
import { AdapterError } from '../errors.js';
import { mergeTasks, slerp, type TaskMethod, type TaskOptions } from './merge-tasks.js';

/** `slerp` joins two models; the other methods combine what each changed of the base, `linear` also without one. */
export type ModelMethod = TaskMethod | 'slerp';

export interface ModelMergeOptions extends TaskOptions {
  readonly method: ModelMethod;
  /** What all models were trained from; `linear` and `slerp` do without. */
  readonly base?: Module;
}

/**
 * Merges models of one shape into the first, parameter by parameter: `linear` Σ w θ (weights divided by their sum),
 * `slerp` with the share of the second as its weight, and the others base + merged (θ - base).
 * @throws AdapterError listing every parameter that is missing or of another shape, before any change
 */
export async function mergeModels(models: readonly Module[], options: ModelMergeOptions): Promise<void> {
  const { method, weights, base } = options;
  const [target, ...others] = models.map((model) => new Map(model.namedParameters()));
  const origin = base && new Map(base.namedParameters());
  const problems = [...others, ...(origin ? [origin] : [])].flatMap((other, i) =>
    differences(target, other, i < others.length ? `model ${i + 2}` : 'the base'),
  );
  if (method === 'slerp' && models.length !== 2)
    problems.push(`slerp joins two models, not ${models.length}`);
  if (method !== 'slerp' && method !== 'linear' && !base)
    problems.push(`${method} needs the base of the models`);
  if (weights.length !== models.length || !weights.every(Number.isFinite))
    problems.push(`weights ${weights.join(', ')} are not a number for each of ${models.length} models`);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const areShares = !base || method === 'slerp';
  if (areShares && !(Math.abs(total) > 1e-9))
    problems.push(`weights that add up to ${total} cannot be shares`);
  if (problems.length > 0) throw new AdapterError('mergeModels', problems);
  for (const [path, parameter] of target) {
    const all = await Promise.all([target, ...others].map((each) => each.get(path)!.value.toFloat32()));
    const from = await origin?.get(path)?.value.toFloat32();
    let values: Float32Array;
    if (method === 'slerp') values = slerp(all[0], all[1], weights[1] / total);
    else if (!from)
      values = await mergeTasks('linear', all, { weights: weights.map((each) => each / total) });
    else {
      const tasks = all.map((each) => each.map((value, i) => value - from[i]));
      const change = await mergeTasks(method, tasks, options);
      values = from.map((value, i) => value + change[i]);
    }
    const { shape, backend, dtype } = parameter.value;
    noGrad(() => scope(() => void parameter.value.assign(tensor(values, { shape, backend }).cast(dtype))));
  }
}

type Parameters = ReadonlyMap<string, { readonly shape: readonly number[] }>;

function differences(target: Parameters, other: Parameters, name: string): string[] {
  const shapeOf = (of: Parameters, path: string) => of.get(path)?.shape.join(' × ') ?? 'nothing';
  return [...new Set([...target.keys(), ...other.keys()])]
    .filter((path) => shapeOf(target, path) !== shapeOf(other, path))
    .map((path) => `${path} is ${shapeOf(target, path)} in model 1 and ${shapeOf(other, path)} in ${name}`);
}
