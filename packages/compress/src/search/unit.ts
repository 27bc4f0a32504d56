import type { CausalLM } from '@frugal/tensor-core/nn';
import { createModifier } from '../compress.js';
import type { Modifier, ModifierFactory, PlannedPacking, StorageCheck } from '../modifier.js';
import { matchesTargets } from '../recipe.js';
import { findSites, type LinearSite, linearSites } from '../site.js';
import type { SearchOption } from './option.js';

/** An option for one unit. */
export interface Choice {
  readonly option: SearchOption;
  /** One for each step of the option, pointed at the layers of the unit. */
  readonly modifiers: readonly Modifier[];
  /** What the unit adds to a checkpoint. */
  readonly bytes: number;
  /** What its layers become, by path. */
  readonly packed: ReadonlyMap<string, PlannedPacking>;
}

/** Layers that are decided together: one linear layer, or the same layer of all experts of a block. */
export interface SearchUnit {
  /** A glob that matches its layers and no others. */
  readonly target: string;
  readonly paths: readonly string[];
  /** How many weights its layers have. */
  readonly weights: number;
  readonly bytesBefore: number;
  /** Index of the block, null for layers outside. */
  readonly block: number | null;
  /** Whether an embedding has the same matrix. */
  readonly isShared: boolean;
  /** Only what a plan finds nothing wrong with. */
  readonly choices: readonly Choice[];
}

export interface UnitOptions {
  readonly methods: readonly ModifierFactory[];
  readonly options: readonly SearchOption[];
  readonly storage?: StorageCheck | undefined;
  /** Bytes of a checkpoint with these layers packed; default: what their weights take in memory. */
  readonly size?: CheckpointSize | undefined;
}

export type CheckpointSize = (model: CausalLM, packed: ReadonlyMap<string, PlannedPacking>) => number;

/** All units of a model with what can be done to them, in the order of the model. */
export function findUnits(model: CausalLM, options: UnitOptions): SearchUnit[] {
  const groups = new Map<string, LinearSite[]>();
  for (const site of linearSites(findSites(model, ['linear'], { include: ['**'] }))) {
    const target = site.path.replace(/\.sites\.\d+$/, '.sites.*');
    groups.set(target, [...(groups.get(target) ?? []), site]);
  }
  return [...groups].map(([target, sites]) => ({
    target,
    paths: sites.map(({ path }) => path),
    weights: sites.reduce((sum, { layer }) => sum + layer.inFeatures * layer.outFeatures, 0),
    bytesBefore: sites.reduce((sum, { layer }) => sum + layer.weightBytes, 0),
    block: blockOf(target),
    isShared: sites.some(({ sharedWith }) => sharedWith.length > 0),
    choices: options.options.flatMap((option) => choiceOf(model, option, target, sites, options) ?? []),
  }));
}

function blockOf(path: string): number | null {
  const [, index] = /^blocks\.(\d+)\./.exec(path) ?? [];
  return index === undefined ? null : Number(index);
}

/** Null when the option does not fit the layers. */
function choiceOf(
  model: CausalLM,
  option: SearchOption,
  target: string,
  sites: readonly LinearSite[],
  { methods, storage, size }: UnitOptions,
): Choice | null {
  if (option.targets && !sites.every(({ path }) => matchesTargets(option.targets as never, path)))
    return null;
  const targets = { include: [target] };
  const modifiers = option.steps.map((step) => createModifier({ ...step, targets }, methods));
  const bytesBefore = sites.reduce((sum, { layer }) => sum + layer.weightBytes, 0);
  let bytes = bytesBefore;
  const packed = new Map<string, PlannedPacking>();
  for (const modifier of modifiers) {
    const planned = modifier.plan(sites, model);
    if (planned.problems.length > 0) return null;
    bytes += planned.sites.reduce((sum, { bytesBefore, bytesAfter }) => sum + bytesAfter - bytesBefore, 0);
    for (const site of planned.sites) if (site.packed) packed.set(site.path, site.packed);
  }
  if (packed.size > 0 && storage && storage(model, packed).length > 0) return null;
  if (size && packed.size > 0) bytes = bytesBefore + size(model, packed) - size(model, new Map());
  return { option, modifiers, bytes, packed };
}
