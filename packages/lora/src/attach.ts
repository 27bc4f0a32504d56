import { backendOf, matchesTargets, type Targets } from '@frugal/compress';
import { ArgumentError, noGrad, Random, scope, type Tensor, zeros } from '@frugal/tensor-core';
import { isLinearLike, Linear, type LinearLike, type Module } from '@frugal/tensor-core/nn';
import { AdaptedLinear, type LowRank, rowLengths } from './adapted-linear.js';
import { AdapterSet } from './adapter-set.js';

export interface AdapterOptions {
  /** Which layers: globs over module paths, such as `blocks.*.attention.*`; experts are `….sites.3`. */
  readonly targets: Targets;
  /** R. */
  readonly rank: number;
  /** The change is scaled by alpha / rank. Default: twice the rank. */
  readonly alpha?: number;
  /** Other ranks for some layers, by globs; the first that matches holds. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** Other alphas, likewise. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** Scale by alpha / √rank (rsLoRA, Kalajdzievski 2023). Default false. */
  readonly rankStabilized?: boolean;
  /** Learn the length of each row apart from its direction (DoRA). Default false. */
  readonly magnitudes?: boolean;
  /**
   * Weights of the base that are zero take no part in the change, so that a pruned layer stays pruned. Plain dense layers
   * only, whose products are made of the whole matrix then. Default false.
   */
  readonly keepZeros?: boolean;
  /** Of the initial A. Default 0. */
  readonly seed?: number;
}

/**
 * Puts a fresh adapter on every targeted layer and freezes all else. A is uniform within ±1/√C, B is zero, so the model
 * computes what it did.
 * @throws ArgumentError for targets and patterns that match nothing, naming the layers that exist; nothing is changed then
 */
export function attachAdapters(model: Module, options: AdapterOptions): AdapterSet {
  const { seed = 0, rankStabilized = false, magnitudes = false, keepZeros = false } = options;
  const random = new Random(seed);
  const adapters = new Map<string, LowRank>();
  for (const [i, { path, layer, rank, scale }] of plannedAdapters(model, options).entries()) {
    const mask = keepZeros ? nonZero(path, layer) : null;
    const fresh = freshAdapter(layer, { rank, scale, magnitudes, random: random.fork(i) });
    adapters.set(path, { ...fresh, mask });
  }
  return placeAdapters(model, adapters, rankStabilized);
}

/** A layer that is to get an adapter. */
export interface PlannedAdapter {
  readonly path: string;
  readonly layer: LinearLike;
  readonly rank: number;
  readonly scale: number;
}

/** What the options say of each targeted layer. @throws ArgumentError as {@link attachAdapters} does */
export function plannedAdapters(model: Module, options: AdapterOptions): PlannedAdapter[] {
  const { targets, rankPattern = {}, alphaPattern = {}, rankStabilized = false } = options;
  const layers = linearLayers(model);
  const paths = [...layers.keys()].filter((path) => matchesTargets(targets, path));
  for (const glob of targets.include) requireMatch('target', glob, [...layers.keys()]);
  for (const glob of [...Object.keys(rankPattern), ...Object.keys(alphaPattern)])
    requireMatch('pattern', glob, paths);
  if (paths.length === 0)
    throw new ArgumentError({
      where: 'attachAdapters',
      what: 'the targets leave no layer',
      got: JSON.stringify(targets),
    });
  requireBare(paths, layers);
  return paths.map((path) => {
    const rank = valueFor(path, rankPattern) ?? options.rank;
    const alpha = valueFor(path, alphaPattern) ?? options.alpha ?? 2 * options.rank;
    checkRank(path, rank, alpha);
    return { path, layer: layers.get(path) as LinearLike, rank, scale: scaleOf(alpha, rank, rankStabilized) };
  });
}

/** s of an adapter: alpha / rank, or alpha / √rank for rsLoRA. */
export function scaleOf(alpha: number, rank: number, rankStabilized: boolean): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/** Layers that can be adapted, by path: those inside of an adapted one are not counted. */
export function linearLayers(model: Module): Map<string, LinearLike> {
  const layers = new Map<string, LinearLike>();
  const inner = new Set<Module>();
  for (const [path, module] of model.namedModules()) {
    if (!isLinearLike(module)) continue;
    if (module.base !== module) inner.add(module.base);
    if (!inner.has(module)) layers.set(path, module);
  }
  return layers;
}

/** Puts given adapters on the layers at these paths and freezes all else. */
export function placeAdapters(
  model: Module,
  adapters: ReadonlyMap<string, LowRank>,
  rankStabilized: boolean,
): AdapterSet {
  const layers = linearLayers(model);
  requireBare([...adapters.keys()], layers);
  const adapted = new Map<string, AdaptedLinear>();
  const frozen = model.parameters().filter(({ trainable }) => trainable);
  for (const [path, adapter] of adapters)
    adapted.set(path, new AdaptedLinear(layers.get(path) as LinearLike, adapter));
  for (const parameter of frozen) parameter.trainable = false;
  for (const [path, layer] of adapted) model.replace(path, layer);
  return new AdapterSet(model, adapted, { frozen, rankStabilized });
}

function requireBare(paths: readonly string[], layers: ReadonlyMap<string, LinearLike>): void {
  const taken = paths.filter((path) => layers.get(path) instanceof AdaptedLinear);
  if (taken.length === 0) return;
  throw new ArgumentError({
    where: 'attachAdapters',
    what: 'layers have an adapter already',
    got: taken.join(', '),
    hint: 'Detach or merge the first one before.',
  });
}

interface FreshOptions {
  readonly rank: number;
  readonly scale: number;
  readonly magnitudes: boolean;
  readonly random: Random;
}

function freshAdapter(layer: LinearLike, { rank, scale, magnitudes, random }: FreshOptions): LowRank {
  const { inFeatures: C, outFeatures: F } = layer;
  return noGrad(() =>
    scope(() => {
      const backend = backendOf(layer);
      const down: Tensor = random
        .uniform([rank, C], { backend })
        .sub(0.5)
        .mul(2 / Math.sqrt(C));
      const up = zeros([F, rank], { backend });
      return { down, up, scale, magnitude: magnitudes ? baseLengths(layer) : null };
    }),
  );
}

/** f32 [F, C]: 1 where the weight is not zero. */
function nonZero(path: string, layer: LinearLike): Tensor {
  if (layer instanceof Linear)
    return noGrad(() => scope(() => layer.weight.value.cast('f32').equal(0).logicalNot().cast('f32')));
  throw new ArgumentError({
    where: 'attachAdapters',
    what: 'zeros are kept in plain dense layers only',
    got: path,
    hint: 'Exclude the layer, or leave keepZeros out.',
  });
}

/** DoRA begins with the lengths that rows have, f32 [F]. */
export function baseLengths(layer: LinearLike): Tensor {
  return rowLengths((start, count) => layer.effectiveWeight(start, count), layer);
}

function valueFor(path: string, pattern: Readonly<Record<string, number>>): number | undefined {
  return Object.entries(pattern).find(([glob]) => matchesTargets({ include: [glob] }, path))?.[1];
}

function checkRank(path: string, rank: number, alpha: number): void {
  if (Number.isInteger(rank) && rank > 0 && Number.isFinite(alpha) && alpha > 0) return;
  throw new ArgumentError({
    where: 'attachAdapters',
    what: `impossible rank or alpha for ${path}`,
    got: `rank ${rank}, alpha ${alpha}`,
    expected: 'a whole rank and an alpha above 0',
  });
}

function requireMatch(kind: string, glob: string, paths: readonly string[]): void {
  if (paths.some((path) => matchesTargets({ include: [glob] }, path))) return;
  const names = [...new Set(paths.map((path) => path.replace(/\.\d+(?=\.|$)/g, '.*')))];
  throw new ArgumentError({
    where: 'attachAdapters',
    what: `a ${kind} matches no layer`,
    got: glob,
    expected: names.join(', ') || 'a model with linear layers',
  });
}
