import { keep, noGrad, scope, type Tensor } from '@frugal/tensor-core';
import { type LinearLike, Module, type Parameter, type RowContext } from '@frugal/tensor-core/nn';

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

/** Stands in for a linear layer while calibration data runs, and watches its inputs. */
export class ObservedLinear extends Module implements LinearLike {
  readonly stats: Record<string, unknown> = {};

  constructor(
    readonly observed: LinearLike,
    private readonly names: readonly StatName[],
  ) {
    super();
  }

  forward(x: Tensor, rows?: RowContext): Tensor {
    for (const name of this.names) this.update(name, x);
    return this.observed.forward(x, rows);
  }

  private update<N extends StatName>(name: N, x: Tensor): void {
    const before = this.stats[name] as StatMap[N] | undefined;
    const rows = (tensor: Tensor) => tensor.detach().cast('f32').reshape(-1, this.inFeatures);
    const after = scope(() => noGrad(() => updates[name](rows(x), before)));
    this.stats[name] = typeof after === 'number' ? after : keep(after);
    if (before && typeof before !== 'number') before.dispose();
  }

  get inFeatures(): number {
    return this.observed.inFeatures;
  }
  get outFeatures(): number {
    return this.observed.outFeatures;
  }
  get bias(): Parameter | null {
    return this.observed.bias;
  }
  get base(): LinearLike {
    return this.observed.base;
  }
  get activation() {
    return this.observed.activation;
  }
  get weightBytes(): number {
    return this.observed.weightBytes;
  }
  scaleColumns(factors: Tensor): void {
    this.observed.scaleColumns(factors);
  }
  effectiveWeight(rowStart?: number, rowCount?: number): Tensor {
    return this.observed.effectiveWeight(rowStart, rowCount);
  }
  replaceBase(layer: LinearLike): LinearLike {
    return this.observed.replaceBase(layer);
  }
}

export function disposeStats(stats: Stats): void {
  for (const value of Object.values(stats)) if (value && typeof value !== 'number') value.dispose();
}
