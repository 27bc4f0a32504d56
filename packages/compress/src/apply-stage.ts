import { type CausalLM, isLinearLike } from '@frugal/tensor-core/nn';
import { CalibrationWalk } from './calibration.js';
import { applyEdits, disposeUnused, type PendingStructure } from './edit.js';
import type { Modifier } from './modifier.js';
import { captureModules, holders, restoreModules } from './module-state.js';
import { keepWeight, type LayerChange } from './output-error.js';
import type { RunStore } from './run-store.js';
import { findSites, type Site } from './site.js';
import { collectors, type StatName, type Stats, type StatsByPath } from './statistics.js';

export interface ApplyOptions {
  /** Names the stage's files in the store. */
  readonly key: string;
  readonly calibration: readonly ArrayLike<number>[];
  readonly domains?: readonly string[] | undefined;
  readonly store: RunStore | null;
  readonly onSite?: (done: number, total: number, path: string) => void;
}

/** What is known of a site after a stage: what its methods measured, and how far its output moved. */
export interface SiteOutcome {
  readonly path: string;
  readonly method: string;
  readonly measured: Readonly<Record<string, number | string | undefined>>;
}

/** Block by block: collect statistics, change the block, carry its error forward; then what lies outside the blocks. */
export class StageRun {
  private readonly names: readonly StatName[];
  private readonly outcomes: SiteOutcome[] = [];
  private readonly total: number;
  private chosen = new Map<Modifier, ReadonlySet<string>>();
  private done = 0;

  constructor(
    private readonly model: CausalLM,
    private readonly modifiers: readonly Modifier[],
    private readonly pending: PendingStructure,
    private readonly options: ApplyOptions,
  ) {
    const optional = options.calibration.length > 0;
    this.names = [
      ...new Set(
        modifiers.flatMap(({ needs }) => [
          ...(needs.stats ?? []),
          ...(optional ? (needs.optionalStats ?? []) : []),
        ]),
      ),
    ];
    this.total = modifiers.reduce((sum, modifier) => sum + this.sites(modifier).length, 0);
  }

  async run(): Promise<readonly SiteOutcome[]> {
    const { names, model } = this;
    await this.select();
    const walk = this.walk();
    try {
      for (const index of model.blocks.keys()) {
        const prefix = `blocks.${index}`;
        await this.part(prefix, () => walk?.observeBlock(index, names) ?? null, prefix);
        walk?.advance(index);
      }
      const seesHead = this.modifiers.some((modifier) =>
        this.sites(modifier).some(({ path }) => path === 'head'),
      );
      await this.part('outside', () => (walk && seesHead ? walk.observeHead(names) : null), '');
    } finally {
      walk?.dispose();
    }
    return this.outcomes;
  }

  /** The paths that modifiers with `select` choose, from statistics of the whole model before the stage. */
  private async select(): Promise<void> {
    const selecting = this.modifiers.filter(({ select }) => select);
    if (selecting.length === 0) return;
    const { model, names } = this;
    const walk = this.walk();
    const stats = walk?.observeModel(names) ?? null;
    try {
      for (const modifier of selecting) {
        const get = (path: string) => stats?.get(path) ?? {};
        const paths = await modifier.select?.(findSites(model, modifier.sites, modifier.spec.targets), get);
        if (paths) this.chosen.set(modifier, new Set(paths));
      }
    } finally {
      stats?.dispose();
      walk?.dispose();
    }
  }

  private walk(): CalibrationWalk | null {
    const { calibration, domains } = this.options;
    const watchExperts = this.names.some((name) => collectors[name].of === 'experts');
    return this.names.length > 0
      ? new CalibrationWalk(this.model, calibration, { domains, watchExperts })
      : null;
  }

  /** One block, or all that lies outside (prefix ''): taken from the store when an earlier run finished it. */
  private async part(name: string, observe: () => StatsByPath | null, prefix: string): Promise<void> {
    const { store, key } = this.options;
    const stored = await store?.load(`${key}-${name}`);
    if (stored) {
      disposeUnused(this.model, restoreModules(this.model, stored.modules));
      const { outcomes, removed, config } = stored.notes as StoredNotes;
      this.outcomes.push(...outcomes);
      for (const index of removed) this.pending.removed.add(index);
      if (config) this.pending.config = { ...this.pending.config, ...config };
      return;
    }
    const first = this.outcomes.length;
    const before = { removed: [...this.pending.removed], config: this.pending.config };
    const stats = observe();
    try {
      for (const modifier of this.modifiers) {
        const sites = this.sites(modifier).filter(({ path }) => belongs(path, prefix));
        for (const site of sites) await this.applyTo(modifier, site, stats);
      }
    } finally {
      stats?.dispose();
    }
    if (!store) return;
    const notes: StoredNotes = {
      outcomes: this.outcomes.slice(first),
      removed: [...this.pending.removed].filter((index) => !before.removed.includes(index)),
      config: this.pending.config === before.config ? null : this.pending.config,
    };
    const leaves = [...holders(this.model)].filter(([path]) => belongs(path, prefix));
    await store.save(`${key}-${name}`, { modules: await captureModules(leaves), notes });
  }

  private async applyTo(modifier: Modifier, site: Site, stats: StatsByPath | null): Promise<void> {
    const statsOf = (path: string) => stats?.get(path) ?? {};
    const watched = site.kind === 'linear' ? await keepWeight(site.layer) : null;
    const { edits, measured = {} } = await (modifier.apply as NonNullable<Modifier['apply']>)(
      site,
      statsOf,
      this.model,
    );
    await applyEdits(this.model, edits, this.pending);
    const moved = watched ? await this.compare(site.path, watched, statsOf(site.path)) : {};
    const all = { ...moved, ...measured };
    if (Object.keys(all).length > 0)
      this.outcomes.push({ path: site.path, method: modifier.spec.type, measured: all });
    this.options.onSite?.(++this.done, this.total, site.path);
  }

  private async compare(
    path: string,
    change: LayerChange,
    { gram }: Stats,
  ): Promise<SiteOutcome['measured']> {
    const after = this.model.module(path);
    return isLinearLike(after) ? change.compare(after, gram) : {};
  }

  private sites(modifier: Modifier): Site[] {
    const chosen = this.chosen.get(modifier);
    return findSites(this.model, modifier.sites, modifier.spec.targets).filter(
      ({ path }) => chosen?.has(path) ?? true,
    );
  }
}

interface StoredNotes {
  readonly outcomes: readonly SiteOutcome[];
  readonly removed: readonly number[];
  readonly config: PendingStructure['config'];
}

/** Whether a path lies in a block; with an empty prefix: outside all blocks. */
function belongs(path: string, prefix: string): boolean {
  if (prefix === '') return !path.startsWith('blocks.');
  return path === prefix || path.startsWith(`${prefix}.`);
}
