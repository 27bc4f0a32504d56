import { ArgumentError, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import type { LowRank } from '../adapted-linear.js';
import { AdapterError } from '../errors.js';
import { principalParts } from '../principal-parts.js';
import { mergeTasks, type TaskMethod, type TaskOptions } from './merge-tasks.js';

/** Adapters by the path of the layer that each belongs to. */
export type Adapters = ReadonlyMap<string, LowRank>;

/**
 * `cat`: the exact weighted sum, with the ranks added up. `svd`, `ties_svd` …: the products B A are combined and decomposed
 * anew. `linear`, `ties` …: A and B are combined apart, as PEFT does, which is no sum of the products.
 */
export type CombinationMethod = 'cat' | 'svd' | TaskMethod | `${Exclude<TaskMethod, 'linear'>}_svd`;

/** As {@link CombinationMethod}, for those who ask. */
export const combinationMethods: readonly CombinationMethod[] = [
  'cat',
  'linear',
  'svd',
  'ties',
  'ties_svd',
  'dare_linear',
  'dare_linear_svd',
  'dare_ties',
  'dare_ties_svd',
  'magnitude_prune',
  'magnitude_prune_svd',
];

export interface CombinationOptions extends Omit<TaskOptions, 'weights'> {
  readonly method: CombinationMethod;
  /** One per adapter. */
  readonly weights: readonly number[];
  /** Of the result, where products are decomposed. Default: the largest of the adapters. */
  readonly rank?: number;
}

/**
 * One adapter out of several of the same base, as `add_weighted_adapter` of PEFT makes it; its scale is 1. A layer that only
 * some adapt takes part with those. The tensors that were given stay the caller's.
 * @throws AdapterError naming all layers that cannot be combined
 */
export async function combineAdapters(
  adapters: readonly Adapters[],
  options: CombinationOptions,
): Promise<Map<string, LowRank>> {
  const { method, weights } = options;
  if (adapters.length === 0 || weights.length !== adapters.length)
    throw new ArgumentError({
      where: 'combineAdapters',
      what: 'weights do not fit the adapters',
      got: `${weights.length} weights`,
      expected: `${adapters.length || 'at least one adapter'}`,
    });
  const paths = [...new Set(adapters.flatMap((each) => [...each.keys()]))];
  const members = new Map(
    paths.map((path) => [
      path,
      adapters.flatMap((each, i) => {
        const layer = each.get(path);
        return layer ? [{ layer, weight: weights[i] }] : [];
      }),
    ]),
  );
  checkLayers(members, method);
  const combined = new Map<string, LowRank>();
  for (const [path, own] of members) combined.set(path, { ...(await combine(own, options)), scale: 1 });
  return combined;
}

interface Member {
  readonly layer: LowRank;
  readonly weight: number;
}

type Parts = Pick<LowRank, 'down' | 'up'>;

function checkLayers(members: ReadonlyMap<string, readonly Member[]>, method: CombinationMethod): void {
  const apart = method !== 'cat' && method !== 'svd' && !method.endsWith('_svd');
  const problems: string[] = [];
  for (const [path, own] of members) {
    if (own.some(({ layer }) => layer.magnitude)) problems.push(`${path} has magnitudes (DoRA)`);
    const shapes = (of: (layer: LowRank) => readonly number[]) => [
      ...new Set(own.map(({ layer }) => of(layer).join(' × '))),
    ];
    const outer = shapes(({ down, up }) => [up.shape[0], down.shape[1]]);
    if (outer.length > 1) problems.push(`${path} has different sizes: ${outer.join(' and ')}`);
    const ranks = shapes(({ down }) => [down.shape[0]]);
    if (apart && ranks.length > 1) problems.push(`${path} has different ranks: ${ranks.join(' and ')}`);
  }
  if (problems.length > 0)
    throw new AdapterError(
      'combineAdapters',
      problems,
      'Ranks may differ with cat, svd and methods in _svd.',
    );
}

async function combine(members: readonly Member[], options: CombinationOptions): Promise<Parts> {
  const { method } = options;
  if (method === 'cat') return concatenated(members);
  if (method !== 'svd' && !method.endsWith('_svd')) return apart(members, method as TaskMethod, options);
  const task = method === 'svd' ? 'linear' : (method.slice(0, -'_svd'.length) as TaskMethod);
  const products = members.map(({ layer: { down, up, scale } }) =>
    noGrad(() => scope(() => up.matmul(down).mul(scale))),
  );
  const weights = members.map(({ weight }) => weight);
  const [{ shape, backend }] = products;
  const values = await mergeTasks(task, await Promise.all(products.map((each) => each.toFloat32())), {
    ...options,
    weights,
  });
  const merged = tensor(values, { shape, backend });
  const rank = options.rank ?? Math.max(...members.map(({ layer }) => layer.down.shape[0]));
  const parts = await principalParts(merged, rank);
  for (const each of [...products, merged]) each.dispose();
  return parts;
}

/** [w₁ s₁ A₁; w₂ s₂ A₂; …] and [B₁, B₂, …]. */
async function concatenated(members: readonly Member[]): Promise<Parts> {
  const [{ layer }] = members;
  const { backend } = layer.down;
  const rank = members.reduce((sum, { layer: { down } }) => sum + down.shape[0], 0);
  const [F, C] = [layer.up.shape[0], layer.down.shape[1]];
  const down = new Float32Array(rank * C);
  const up = new Float32Array(F * rank);
  let first = 0;
  for (const { layer: each, weight } of members) {
    const own = each.down.shape[0];
    const a = await each.down.toFloat32();
    const b = await each.up.toFloat32();
    a.forEach((value, i) => {
      down[first * C + i] = weight * each.scale * value;
    });
    for (let f = 0; f < F; f++) up.set(b.subarray(f * own, (f + 1) * own), f * rank + first);
    first += own;
  }
  return {
    down: tensor(down, { shape: [rank, C], backend }),
    up: tensor(up, { shape: [F, rank], backend }),
  };
}

/** Both sides get the root of the weight; a negative sign goes to A. */
async function apart(
  members: readonly Member[],
  method: TaskMethod,
  options: CombinationOptions,
): Promise<Parts> {
  const scales = members.map(({ layer, weight }) => weight * layer.scale);
  const roots = scales.map((scale) => Math.sqrt(Math.abs(scale)));
  const side = async (of: (layer: LowRank) => Tensor, weights: readonly number[], seed: number) => {
    const tasks = await Promise.all(members.map(({ layer }) => of(layer).toFloat32()));
    const { shape, backend } = of(members[0].layer);
    return tensor(await mergeTasks(method, tasks, { ...options, weights, seed }), { shape, backend });
  };
  const { seed = 0 } = options;
  const down = await side(
    (layer) => layer.down,
    roots.map((root, i) => root * (scales[i] < 0 ? -1 : 1)),
    2 * seed,
  );
  return { down, up: await side((layer) => layer.up, roots, 2 * seed + 1) };
}
