import { keep, noGrad, scope, Tensor, tensor } from '@frugal/tensor-core';
import { beforeForward, type LinearLike } from '@frugal/tensor-core/nn';
import { GramSum } from './gram-sum.js';

/**
 * What can be known of a site from calibration, by name: of a linear layer's inputs, or of a block's input and output.
 * Contributors add their own by declaration merging and an entry in {@link collectors}.
 */
export interface StatMap {
  /** Rows seen. */
  count: number;
  /** f32 []: rows that are not all zero. Experts see the rows of others as zeros: these are the ones that reach them. */
  rows: Tensor;
  /** f32 [C]: largest |x| of each column. */
  absMax: Tensor;
  /** f32 [C]: Σ |x| of each column. */
  absSum: Tensor;
  /** f32 [C]: Σ x² of each column. */
  squares: Tensor;
  /** f32 [C, C]: Σ x xᵀ. */
  gram: Tensor;
  /** Of a block: f32 [], Σ over rows of the cosine between what goes in and what comes out. */
  blockCosine: Tensor;
  /** Of a block: rows seen. */
  blockRows: number;
  /** Of the experts of a layer: f32 [D, E], Σ over the rows that reach an expert of weight · ‖output‖, by domain. */
  salience: Tensor;
  /** Of the experts of a layer: f32 [D, E], rows that reach an expert, by domain. */
  load: Tensor;
  /** Of the experts of a layer: f32 [E, E], Σ s sᵀ over the scores s that the router gives to all experts. */
  scoreGram: Tensor;
  /** Of the experts of a layer: the names of the D domains of the calibration. */
  domains: readonly string[];
}

/** What one text showed of the experts of a layer. */
export interface ExpertValues {
  /** f32 [E]. */
  readonly salience: Tensor;
  readonly load: Tensor;
  /** f32 [rows, E]. */
  readonly scores: Tensor;
  /** Which of the domains the text belongs to. */
  readonly domain: number;
  readonly domains: readonly string[];
}

export type StatName = keyof StatMap;

/** What was collected for one site. */
export type Stats = Partial<StatMap>;

type Accumulate<N extends StatName, V> = (values: V, before: StatMap[N] | undefined) => StatMap[N];

/** What grows in the place of a statistic, which is made of it when all rows were seen. */
export interface Growing<T> {
  /** With more values; this one stays as it is. */
  add(values: Tensor): Growing<T>;
  finish(): T;
  dispose(): void;
}

/** How a statistic grows with every batch. All values are f32 [rows, C]. */
export type Collector<N extends StatName = StatName> =
  | { readonly of: 'linear'; readonly update: Accumulate<N, Tensor> }
  | { readonly of: 'linear'; readonly begin: (values: Tensor) => Growing<StatMap[N]> }
  | {
      readonly of: 'block';
      readonly update: Accumulate<N, { readonly input: Tensor; readonly output: Tensor }>;
    }
  | { readonly of: 'experts'; readonly update: Accumulate<N, ExpertValues> };

const plus = (before: Tensor | undefined, now: Tensor) => (before ? before.add(now) : now);

/** [E] as row `domain` of zeros [D, E]. */
function inRow(values: Tensor, { domain, domains }: ExpertValues): Tensor {
  const row = tensor(
    Float32Array.from(domains, (_, d) => (d === domain ? 1 : 0)),
    { backend: values.backend },
  );
  return row.reshape(-1, 1).mul(values.reshape(1, -1));
}

export const collectors: { readonly [N in StatName]: Collector<N> } = {
  count: { of: 'linear', update: (x, before = 0) => before + x.shape[0] },
  rows: {
    of: 'linear',
    update: (x, before) => plus(before, x.abs().max(-1).lessEqual(0).logicalNot().cast('f32').sum()),
  },
  absMax: { of: 'linear', update: (x, before) => (before ? before.maximum(x.abs().max(0)) : x.abs().max(0)) },
  absSum: { of: 'linear', update: (x, before) => plus(before, x.abs().sum(0)) },
  squares: { of: 'linear', update: (x, before) => plus(before, x.mul(x).sum(0)) },
  gram: { of: 'linear', begin: (x) => GramSum.of(x) },
  blockCosine: {
    of: 'block',
    update: ({ input, output }, before) => {
      const norm = (x: Tensor) => x.mul(x).sum(-1).sqrt();
      const lengths = norm(input).mul(norm(output)).maximum(1e-30);
      return plus(before, input.mul(output).sum(-1).div(lengths).sum());
    },
  },
  blockRows: { of: 'block', update: ({ input }, before = 0) => before + input.shape[0] },
  salience: {
    of: 'experts',
    update: (values, before) => plus(before, inRow(values.salience, values)),
  },
  load: { of: 'experts', update: (values, before) => plus(before, inRow(values.load, values)) },
  scoreGram: {
    of: 'experts',
    update: ({ scores }, before) => plus(before, scores.transpose().matmul(scores)),
  },
  domains: { of: 'experts', update: ({ domains }) => domains },
};

/** Statistics by path. Paths whose layers saw the same inputs share tensors, so dispose it as a whole. */
export class StatsByPath {
  private readonly entries = new Map<string, Record<StatName, unknown>>();
  /** What has to be freed, and how many entries have it. */
  private readonly holders = new Map<Held, number>();
  /** The last update of each name: layers that read one tensor (query, key, value) need it computed once. */
  private readonly last = new Map<StatName, { values: unknown; before: unknown; after: unknown }>();

  get(path: string): Stats {
    return (this.entries.get(path) ?? {}) as Stats;
  }
  paths(): Iterable<string> {
    return this.entries.keys();
  }

  /** Adds what one forward pass showed; `values` is what the collector takes, and tells equal inputs apart. */
  add(path: string, names: readonly StatName[], values: object, read: () => unknown): void {
    const stats = this.entries.get(path) ?? ({} as Record<StatName, unknown>);
    this.entries.set(path, stats);
    for (const name of names) {
      const before = stats[name];
      const last = this.last.get(name);
      const known = last && last.values === values && last.before === before;
      const after = known ? last.after : kept(() => grown(name, read(), before));
      this.last.set(name, { values, before, after });
      this.put(stats, name, after);
    }
  }

  /** Makes the statistics of what has grown: to be called when all passes are over. */
  finish(): this {
    const made = new Map<unknown, unknown>();
    for (const stats of this.entries.values()) {
      for (const name of Object.keys(stats) as StatName[]) {
        const growing = stats[name];
        if (!('begin' in collectors[name])) continue;
        if (!made.has(growing))
          made.set(
            growing,
            kept(() => (growing as Growing<unknown>).finish()),
          );
        this.put(stats, name, made.get(growing));
      }
    }
    return this;
  }

  /** Takes over all of `other`. */
  merge(other: StatsByPath): this {
    for (const [path, stats] of other.entries) this.entries.set(path, stats);
    for (const [held, count] of other.holders) this.holders.set(held, count);
    return this;
  }

  dispose(): void {
    for (const held of this.holders.keys()) held.dispose();
    this.holders.clear();
    this.entries.clear();
  }

  private put(stats: Record<StatName, unknown>, name: StatName, value: unknown): void {
    const before = stats[name];
    this.hold(value, 1);
    stats[name] = value;
    this.hold(before, -1);
  }

  private hold(value: unknown, change: 1 | -1): void {
    if (!isHeld(value)) return;
    const count = (this.holders.get(value) ?? 0) + change;
    this.holders.set(value, count);
    if (count > 0) return;
    this.holders.delete(value);
    value.dispose();
  }
}

type Held = Pick<Tensor, 'dispose'>;

function isHeld(value: unknown): value is Held {
  return typeof value === 'object' && value !== null && 'dispose' in value;
}

/** What `make` makes without a tape; a tensor lives until it is disposed. */
function kept<T>(make: () => T): T {
  const made = scope(() => noGrad(make));
  return made instanceof Tensor ? keep(made) : made;
}

function grown(name: StatName, values: unknown, before: unknown): unknown {
  const collector = collectors[name];
  if (!('begin' in collector))
    return (collector.update as Accumulate<StatName, unknown>)(values, before as never);
  return before ? (before as Growing<unknown>).add(values as Tensor) : collector.begin(values as Tensor);
}

/** Watches the inputs of linear layers until it is disposed; `onInput` is called after each that was added. */
export function observeInputs(
  layers: Iterable<readonly [path: string, layer: LinearLike]>,
  names: readonly StatName[],
  stats: StatsByPath,
  onInput: () => void,
): Disposable {
  const wanted = names.filter((name) => collectors[name].of === 'linear');
  const hooks = [...layers].map(([path, layer]) =>
    beforeForward(layer, ([x]) => {
      if (x.shape[0] === 0) return; // an expert that no token chose
      stats.add(path, wanted, x, () => x.detach().cast('f32').reshape(-1, layer.inFeatures));
      onInput();
    }),
  );
  return {
    [Symbol.dispose]() {
      for (const hook of hooks.reverse()) hook[Symbol.dispose]();
    },
  };
}
