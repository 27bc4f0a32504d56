import type { Manifest } from '@frugal/checkpoint';
import type { BatchSource, CausalLM, Score } from '@frugal/tensor-core/nn';
import { CalibrationWalk, disposeAll } from './calibration.js';
import { applyEdits } from './edit.js';
import { InvariantError, PlanError, RecipeError } from './errors.js';
import type { Modifier, ModifierFactory } from './modifier.js';
import { plan } from './plan.js';
import type { Recipe } from './recipe.js';
import type { CompressReport, StageReport } from './report.js';
import { findSites, type Site } from './site.js';
import type { StatName, Stats } from './statistics.js';
import { type TrainFunction, trainStage } from './training.js';

export interface CompressOptions {
  /** The methods that recipes can name. */
  readonly methods: readonly ModifierFactory[];
  /** Token sequences for methods that need statistics. */
  readonly calibration?: readonly ArrayLike<number>[];
  readonly teacher?: CausalLM;
  /** Batches for stages that train, and who trains. */
  readonly data?: BatchSource;
  readonly train?: TrainFunction;
  readonly score?: Score;
  readonly onProgress?: (event: CompressProgress) => void;
}

export interface CompressProgress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly path: string;
}

/**
 * Runs a recipe on a model, in place: plan, then stage by stage with the invariants of all earlier stages checked.
 * Returns the report and the manifest that belongs into the checkpoint.
 * @throws PlanError with every problem, before anything changes; InvariantError when a stage breaks an earlier one
 */
export async function compress(
  model: CausalLM,
  recipe: Recipe,
  options: CompressOptions,
): Promise<{ readonly report: CompressReport; readonly manifest: Manifest }> {
  const stages = recipe.stages.map(({ name, modifiers }) => ({
    name,
    modifiers: modifiers.map((spec) => createModifier(spec, options.methods)),
  }));
  const planned = plan(model, stages, options);
  if (planned.problems.length > 0) throw new PlanError(planned.problems);
  const bytesBefore = modelBytes(model);
  const scoreBefore = await options.score?.evaluate(model);
  const finished: Modifier[] = [];
  const reports: StageReport[] = [];
  for (const [i, stage] of stages.entries()) {
    const start = performance.now();
    const training = await runStage(model, stage, recipe.seed + i, options);
    finished.push(...stage.modifiers);
    await checkInvariants(model, finished, stage.name);
    reports.push({
      name: stage.name,
      modifiers: planned.stages[i].modifiers,
      seconds: (performance.now() - start) / 1000,
      ...(training && { training }),
      ...(options.score && { score: await options.score.evaluate(model) }),
    });
  }
  const report: CompressReport = {
    recipe,
    bytesBefore,
    bytesAfter: modelBytes(model),
    ...(scoreBefore !== undefined && { scoreBefore }),
    stages: reports,
  };
  return { report, manifest: manifestOf(report) };
}

/** @throws RecipeError naming the known types */
export function createModifier(spec: Modifier['spec'], methods: readonly ModifierFactory[]): Modifier {
  const factory = methods.find(({ type }) => type === spec.type);
  if (factory) return factory.create(spec);
  throw new RecipeError({
    where: 'recipe',
    what: 'unknown method',
    got: spec.type,
    expected: methods.map(({ type }) => type).join(', '),
  });
}

/** Bytes of all parameters, buffers and packed weights, shared ones once. */
export function modelBytes(model: CausalLM): number {
  const storages = new Set([...model.parameters().map(({ value }) => value.storage)]);
  for (const [, buffer] of model.namedBuffers()) storages.add(buffer.value.storage);
  for (const [, module] of model.namedModules()) {
    const weight = (module as { weight?: { parts?: readonly { storage: unknown }[] } }).weight;
    for (const part of weight?.parts ?? []) storages.add(part.storage as never);
  }
  return [...storages].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

interface Stage {
  readonly name: string;
  readonly modifiers: readonly Modifier[];
}

async function runStage(model: CausalLM, stage: Stage, seed: number, options: CompressOptions) {
  const { modifiers } = stage;
  const applying = modifiers.filter(({ apply }) => apply);
  if (applying.length > 0) await applyStage(model, { ...stage, modifiers: applying }, options);
  let training: Readonly<Record<string, unknown>> | undefined;
  if (modifiers.some(({ needs }) => needs.training)) {
    const { teacher = null, data, train } = options;
    training = await trainStage(modifiers, { model, teacher, data, seed, train: train as TrainFunction });
  }
  for (const modifier of modifiers) {
    for (const site of sitesOf(model, modifier))
      await applyEdits(model, (await modifier.finish?.(site)) ?? []);
  }
  return training;
}

/** Block by block: collect statistics, change the block, carry its error forward; then what lies outside the blocks. */
async function applyStage(
  model: CausalLM,
  stage: Stage,
  { calibration = [], onProgress }: CompressOptions,
): Promise<void> {
  const names = [...new Set(stage.modifiers.flatMap(({ needs }) => needs.stats ?? []))];
  const chosen = await selectSites(model, stage.modifiers, names, calibration);
  const sitesFor = (modifier: Modifier) =>
    sitesOf(model, modifier).filter(({ path }) => chosen.get(modifier)?.has(path) ?? true);
  const total = stage.modifiers.reduce((sum, modifier) => sum + sitesFor(modifier).length, 0);
  let done = 0;
  const applyTo = async (belongs: (path: string) => boolean, stats: ReadonlyMap<string, Stats>) => {
    for (const modifier of stage.modifiers) {
      for (const site of sitesFor(modifier).filter(({ path }) => belongs(path))) {
        await applyEdits(
          model,
          await (modifier.apply as NonNullable<Modifier['apply']>)(site, stats.get(site.path) ?? {}),
        );
        onProgress?.({ stage: stage.name, done: ++done, total, path: site.path });
      }
    }
  };
  const walk = names.length > 0 ? new CalibrationWalk(model, calibration) : null;
  try {
    for (const index of model.blocks.keys()) {
      const prefix = `blocks.${index}`;
      await withStats(walk?.observeBlock(index, prefix, names), (stats) =>
        applyTo((path) => path === prefix || path.startsWith(`${prefix}.`), stats),
      );
      walk?.advance(index);
    }
    await withStats(walk && observesHead(stage, model) ? walk.observeHead(names) : undefined, (stats) =>
      applyTo((path) => !path.startsWith('blocks.'), stats),
    );
  } finally {
    walk?.dispose();
  }
}

/** The paths that modifiers with `select` choose, from statistics of the whole model before the stage. */
async function selectSites(
  model: CausalLM,
  modifiers: readonly Modifier[],
  names: readonly StatName[],
  calibration: readonly ArrayLike<number>[],
): Promise<Map<Modifier, Set<string>>> {
  const chosen = new Map<Modifier, Set<string>>();
  if (!modifiers.some(({ select }) => select)) return chosen;
  const walk = names.length > 0 ? new CalibrationWalk(model, calibration) : null;
  try {
    await withStats(walk?.observeModel(names), async (stats) => {
      for (const modifier of modifiers) {
        const paths = await modifier.select?.(sitesOf(model, modifier), stats);
        if (paths) chosen.set(modifier, new Set(paths));
      }
    });
  } finally {
    walk?.dispose();
  }
  return chosen;
}

async function withStats(
  stats: Map<string, Stats> = new Map(),
  use: (stats: ReadonlyMap<string, Stats>) => Promise<void>,
): Promise<void> {
  try {
    await use(stats);
  } finally {
    disposeAll(stats);
  }
}

function observesHead({ modifiers }: Stage, model: CausalLM): boolean {
  return modifiers.some((modifier) => sitesOf(model, modifier).some(({ path }) => path === 'head'));
}

function sitesOf(model: CausalLM, { sites, spec }: Modifier): Site[] {
  return findSites(model, sites, spec.targets);
}

async function checkInvariants(model: CausalLM, finished: readonly Modifier[], stage: string): Promise<void> {
  for (const modifier of finished) {
    for (const site of sitesOf(model, modifier)) {
      const problem = await modifier.invariant?.(site);
      if (!problem) continue;
      throw new InvariantError({
        where: `stage ${stage}`,
        what: `${modifier.spec.type} no longer holds at ${site.path}`,
        got: problem,
      });
    }
  }
}

function manifestOf({ recipe, stages, bytesBefore, bytesAfter, scoreBefore }: CompressReport): Manifest {
  return {
    version: 1,
    kind: 'compress',
    recipe,
    seed: recipe.seed,
    bytesBefore,
    bytesAfter,
    ...(scoreBefore !== undefined && { scoreBefore }),
    layers: stages.map(({ name, modifiers, score }) => ({
      stage: name,
      modifiers: modifiers.map(({ type, sites }) => ({ type, sites: sites.map((site) => ({ ...site })) })),
      ...(score !== undefined && { score }),
    })),
  } as Manifest;
}
