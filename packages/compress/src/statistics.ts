import { keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type LinearLike, onForward } from '@frugal/tensor-core/nn';

/** Statistics of the inputs of a linear layer, by name. Contributors add their own by declaration merging. */
export interface StatMap {
  /** Rows seen. */
  count: number;
  /** f32 [C]: largest |x| of each column. */
  absMax: Tensor;
  /** f32 [C]: Σ x² of each column. */
  squares: Tensor;
  /** f32 [C, C]: xᵀ x. */
  gram: Tensor;
}

export type StatName = keyof StatMap;

/** What was collected for one site. */
export type Stats = Partial<StatMap>;

type Update = { [N in StatName]: (x: Tensor, before: StatMap[N] | undefined) => StatMap[N] };

const updates: Update = {
  count: (x, before = 0) => before + x.shape[0],
  absMax: (x, before) => {
    const now = x.abs().max(0);
    return before ? before.maximum(now) : now;
  },
  squares: (x, before) => {
    const now = x.mul(x).sum(0);
    return before ? before.add(now) : now;
  },
  gram: (x, before) => {
    const now = x.transpose().matmul(x);
    return before ? before.add(now) : now;
  },
};

/** Collects statistics of a layer's inputs until it is disposed; `stats` stays the caller's. */
export function observeInputs(
  layer: LinearLike,
  names: readonly StatName[],
): Disposable & { readonly stats: Stats } {
  const stats: Record<string, unknown> = {};
  const update = <N extends StatName>(name: N, x: Tensor) => {
    const before = stats[name] as StatMap[N] | undefined;
    const rows = () => x.detach().cast('f32').reshape(-1, layer.inFeatures);
    const after = scope(() => noGrad(() => updates[name](rows(), before)));
    stats[name] = typeof after === 'number' ? after : keep(after);
    if (before && typeof before !== 'number') before.dispose();
  };
  const hook = onForward(layer, ([x]) => {
    for (const name of names) update(name, x);
  });
  return { stats, [Symbol.dispose]: () => hook[Symbol.dispose]() };
}

export function disposeStats(stats: Stats): void {
  for (const value of Object.values(stats)) if (value && typeof value !== 'number') value.dispose();
}
