import {
  type Block,
  type Coupling,
  isLinearLike,
  type LinearLike,
  type Model,
  type Module,
} from '@frugal/tensor-core/nn';
import { matchesTargets, type Targets } from './recipe.js';

/** A place in a model where a method can work, with live handles. */
export type Site =
  | {
      readonly kind: 'linear';
      readonly path: string;
      readonly layer: LinearLike;
      /** Modules that use the same weight: a tied embedding. */
      readonly sharedWith: readonly string[];
    }
  | {
      readonly kind: 'norm-group';
      readonly path: string;
      readonly norm: Module;
      /** The linear layers that read the norm's output, in the order of `consumerPaths`. */
      readonly consumers: readonly LinearLike[];
      readonly consumerPaths: readonly string[];
    }
  | { readonly kind: 'block'; readonly path: string; readonly index: number; readonly module: Module }
  | CouplingSite<'ffn'>
  | CouplingSite<'attention'>
  | CouplingSite<'experts'>
  | CouplingSite<'residual'>
  | CouplingSite<'cache'>;

interface CouplingSite<K extends Coupling['kind']> {
  readonly kind: K;
  readonly path: string;
  readonly coupling: Coupling;
  /** The modules of `coupling.members`, in their order. */
  readonly members: readonly Module[];
}

export type SiteKind = Site['kind'];

export type LinearSite = Extract<Site, { kind: 'linear' }>;

/** The linear layers among sites. */
export function linearSites(sites: readonly Site[]): LinearSite[] {
  return sites.filter((site) => site.kind === 'linear');
}

/** All sites of the given kinds whose path is a target, in the order of the model. */
export function findSites(model: Model, kinds: readonly SiteKind[], targets: Targets): Site[] {
  return allSites(model).filter(({ kind, path }) => kinds.includes(kind) && matchesTargets(targets, path));
}

function allSites(model: Model): Site[] {
  const sites: Site[] = [];
  for (const [path, module] of model.namedModules()) {
    const index = model.blocks.indexOf(module as Block);
    if (index >= 0) sites.push({ kind: 'block', path, index, module });
    if (isLinearLike(module))
      sites.push({ kind: 'linear', path, layer: module, sharedWith: sharers(model, path) });
  }
  const linear = (path: string) => model.module(path);
  for (const { norm, consumers } of model.normGroups()) {
    sites.push({
      kind: 'norm-group',
      path: norm,
      norm: model.module(norm),
      consumers: consumers.map(linear).filter(isLinearLike),
      consumerPaths: consumers,
    });
  }
  const paths = new Set([...model.namedModules()].map(([path]) => path));
  for (const coupling of model.couplings()) {
    // An edit of this stage may have removed experts that couplings know until it ends.
    if (!coupling.members.every(({ path }) => paths.has(path))) continue;
    const members = coupling.members.map(({ path }) => linear(path));
    sites.push({ kind: coupling.kind, path: coupling.path, coupling, members } as Site);
  }
  return sites;
}

/** Ties are declared between parameters (`head.weight`, `embed.weight`), and an edit may have untied them; sites are modules. */
function sharers(model: Model, path: string): string[] {
  return model.ties
    .filter((tie) => parent(tie.path) === path || parent(tie.source) === path)
    .map((tie) => (parent(tie.path) === path ? parent(tie.source) : parent(tie.path)))
    .filter((other) => weightAt(model, other) === weightAt(model, path));
}

function weightAt(model: Model, path: string): unknown {
  return (model.module(path) as { weight?: unknown }).weight;
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf('.'));
}
