import { type Backend, currentBackend } from '@frugal/tensor-core';
import { type CausalLM, isLinearLike } from '@frugal/tensor-core/nn';
import { CalibrationWalk } from './calibration.js';
import { applyEdits, disposeUnused, type PendingStructure } from './edit.js';
import type { Modifier } from './modifier.js';
import { holders, restoreModules } from './module-state.js';
import { keepWeight, type LayerChange } from './output-error.js';
import { type RunStore, type StoredPart, saveModules } from './run-store.js';
import { findSites, type Site } from './site.js';
import { collectors, type StatName, type Stats, type StatsByPath } from './statistics.js';
import { changedBy, releaseWeights, widenWeights } from './stored-weights.js';

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

/** Products of more rows are quicker, and take more memory. */
const TOKENS_AT_ONCE = 1024;

/** Block by block: collect statistics, change the block, carry its error forward; then what lies outside the blocks. */
export class StageRun {
  private readonly names: readonly StatName[];
  private readonly outcomes: SiteOutcome[] = [];
  private chosen = new Map<Modifier, ReadonlySet<string>>();
  /** Where each method works. Paths stay until the stage ends, the modules at them do not. */
  private paths = new Map<Modifier, readonly string[]>();
  /** Where each method only packs. */
  private packing = new Map<Modifier, ReadonlySet<string>>();
  private total = 0;
  private done = 0;

  constructor(
    private readonly model: CausalLM,
    private readonly modifiers: readonly Modifier[],
    private readonly pending: PendingStructure,
    private readonly options: ApplyOptions,
  ) {
    this.names = this.statsFor(modifiers);
  }

  async run(): Promise<readonly SiteOutcome[]> {
    const { model } = this;
    await this.select();
    for (const modifier of this.modifiers) {
      const sites = this.sites(modifier);
      const paths = sites.map(({ path }) => path);
      this.paths.set(modifier, paths);
      const packed = modifier.plan(sites, model).sites.filter((site) => site.packed);
      this.packing.set(modifier, new Set(packed.map(({ path }) => path)));
      this.total += paths.length;
    }
    const walk = this.walk();
    try {
      for (const index of model.blocks.keys()) {
        const prefix = `blocks.${index}`;
        const names = this.statsWithin((path) => belongs(path, prefix));
        await this.part(prefix, () => (names.length > 0 && walk ? walk.observeBlock(index, names) : null));
        walk?.advance(index);
        releaseWeights(model.blocks[index]);
      }
      const names = this.statsWithin((path) => path === 'head');
      if (names.length === 0) walk?.dispose();
      await this.part('', () => (names.length > 0 && walk ? walk.observeHead(names) : null));
      releaseWeights(model);
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

  /** What these methods ask calibration for. */
  private statsFor(modifiers: readonly Modifier[]): StatName[] {
    const optional = this.options.calibration.length > 0;
    const names = modifiers.flatMap(({ needs }) => [
      ...(needs.stats ?? []),
      ...(optional ? (needs.optionalStats ?? []) : []),
    ]);
    return [...new Set(names)];
  }

  /** What the methods ask for that work on any of the paths: a forward pass and its sums are spent on nothing else. */
  private statsWithin(isMeant: (path: string) => boolean): StatName[] {
    return this.statsFor(this.modifiers.filter((modifier) => this.paths.get(modifier)?.some(isMeant)));
  }

  private walk(): CalibrationWalk | null {
    const { calibration, domains } = this.options;
    const watchExperts = this.names.some((name) => collectors[name].of === 'experts');
    return this.names.length > 0
      ? new CalibrationWalk(this.model, calibration, { domains, watchExperts, tokensAtOnce: TOKENS_AT_ONCE })
      : null;
  }

  /** One block, or all that lies outside (prefix ''): taken from the store when an earlier run finished it. */
  private async part(prefix: string, observe: () => StatsByPath | null): Promise<void> {
    const { store } = this.options;
    const name = `${this.options.key}-${prefix || 'outside'}`;
    const stored = await store?.load(name, this.backend);
    if (stored) {
      this.takeOver(stored);
      const { outcomes, removed, config } = stored.notes as StoredNotes;
      this.outcomes.push(...outcomes);
      for (const index of removed) this.pending.removed.add(index);
      if (config) this.pending.config = { ...this.pending.config, ...config };
      return;
    }
    // What was needed beside weights so far, for opening the model or for the part before, would else be kept.
    this.backend.trimMemory?.();
    const first = this.outcomes.length;
    const before = { removed: [...this.pending.removed], config: this.pending.config };
    const changed: string[] = [];
    const stats = observe();
    this.backend.trimMemory?.(); // activations, before methods take memory for what they work on
    try {
      for (const modifier of this.modifiers) {
        if (!this.paths.get(modifier)?.some((path) => belongs(path, prefix))) continue;
        const sites = this.sites(modifier).filter(({ path }) => belongs(path, prefix));
        for (const site of sites) {
          // What lies outside all blocks may change within them, too: a residual stream that is turned.
          changed.push(...changedBy(site));
          await this.applyTo(modifier, site, stats);
        }
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
    const isPart = (path: string) => belongs(path, prefix) || changed.some((other) => isBelow(path, other));
    await saveModules(
      store,
      name,
      [...holders(this.model)].filter(([path]) => isPart(path)),
      notes,
    );
    const kept = await store.load(name, this.backend);
    if (kept) this.takeOver(kept);
  }

  /** From now on the store holds what the part became, and the memory of the model does not. */
  private takeOver({ modules }: StoredPart): void {
    disposeUnused(this.model, restoreModules(this.model, modules));
    this.backend.trimMemory?.();
  }

  private get backend(): Backend {
    return this.model.parameters()[0]?.value.backend ?? currentBackend();
  }

  private async applyTo(modifier: Modifier, site: Site, stats: StatsByPath | null): Promise<void> {
    const statsOf = (path: string) => stats?.get(path) ?? {};
    if (!this.packing.get(modifier)?.has(site.path)) widenWeights(this.model, changedBy(site));
    using watched = site.kind === 'linear' ? keepWeight(site.layer) : null;
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
  return prefix === '' ? !path.startsWith('blocks.') : isBelow(path, prefix);
}

function isBelow(path: string, other: string): boolean {
  return path === other || path.startsWith(`${other}.`);
}
