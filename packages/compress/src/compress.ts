import type { Manifest } from '@frugal/checkpoint';
import { currentBackend } from '@frugal/tensor-core';
import { type CausalLM, type Model, modelBytes, type Score } from '@frugal/tensor-core/nn';
import { type SiteOutcome, StageRun } from './apply-stage.js';
import { applyEdits, type PendingStructure } from './edit.js';
import { CompressError, InvariantError, PlanError, RecipeError } from './errors.js';
import { FinishedMethod } from './finished-method.js';
import { FormerPaths } from './former-paths.js';
import { bytesByLayer, layerChanges } from './layer-bytes.js';
import type { Modifier, ModifierFactory, StorageCheck } from './modifier.js';
import { holders, restoreModules } from './module-state.js';
import { plan } from './plan.js';
import type { Recipe } from './recipe.js';
import type { CompressReport, StageReport } from './report.js';
import { type Rebuild, restructure } from './restructure.js';
import { type RunStore, saveModules } from './run-store.js';
import { findSites, type Site } from './site.js';
import { releaseWeights, widenWeights } from './stored-weights.js';
import { type TrainFunction, type TrainingData, type TrainingStage, trainStage } from './training.js';

export interface CompressOptions {
  /** The methods that recipes can name. */
  readonly methods: readonly ModifierFactory[];
  /** Token sequences for methods that need statistics. */
  readonly calibration?: readonly ArrayLike<number>[];
  /** What kind of text each sequence is, for methods that must not lose one. */
  readonly calibrationDomains?: readonly string[] | undefined;
  readonly teacher?: CausalLM;
  /** Batches for stages that train, and who trains. */
  readonly data?: TrainingData | undefined;
  readonly train?: TrainFunction;
  readonly score?: Score;
  /** Whether the result can be saved, asked before any work. */
  readonly storage?: StorageCheck;
  /** Builds models of another shape, for methods that remove blocks, heads or neurons. */
  readonly rebuild?: Rebuild;
  /** Keeps what is finished, and gives it back to a run that was interrupted. */
  readonly store?: RunStore;
  readonly onProgress?: (event: CompressProgress) => void;
  /** Ends the run between two sites; what the store has is kept. */
  readonly signal?: AbortSignal | undefined;
}

export interface CompressProgress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly path: string;
}

export interface Compressed {
  /** The model that was given, or one of another shape that took over its weights. */
  readonly model: CausalLM;
  readonly report: CompressReport;
  /** What belongs into the checkpoint. */
  readonly manifest: Manifest;
}

/**
 * Runs a recipe on a model, in place: plan, then stage by stage with the invariants of all earlier stages checked.
 * @throws PlanError with every problem, before anything changes; InvariantError when a stage breaks an earlier one
 */
export async function compress(
  model: CausalLM,
  recipe: Recipe,
  options: CompressOptions,
): Promise<Compressed> {
  const stages = recipe.stages.map(({ name, modifiers, training = {} }) => ({
    name,
    settings: training,
    modifiers: modifiers.map((spec) => createModifier(spec, options.methods)),
  }));
  const planned = plan(model, stages, options);
  if (planned.problems.length > 0) throw new PlanError(planned.problems);
  const bytesBefore = modelBytes(model);
  const layersBefore = bytesByLayer(model);
  const scoreBefore = await options.score?.evaluate(model);
  const finished: FinishedMethod[] = [];
  const paths = new FormerPaths();
  const reports: StageReport[] = [];
  let current = model;
  for (const [i, stage] of stages.entries()) {
    const start = performance.now();
    const done = await runStage(
      current,
      { ...stage, index: i, key: `stage-${i}`, seed: recipe.seed + i, finished },
      options,
    );
    current = done.model;
    finished.push(...stage.modifiers.map((modifier) => new FinishedMethod(modifier)));
    if (done.renamed)
      for (const known of [paths, ...finished.map((each) => each.paths)]) known.follow(done.renamed);
    await checkInvariants(current, finished, stage.name);
    reports.push({
      name: stage.name,
      modifiers: planned.stages[i].modifiers,
      seconds: (performance.now() - start) / 1000,
      outcomes: done.outcomes,
      bytes: modelBytes(current),
      ...(done.renamed && { renamed: done.renamed }),
      ...(done.training && { training: done.training }),
      ...(options.score && { score: await options.score.evaluate(current) }),
    });
  }
  const report: CompressReport = {
    recipe,
    bytesBefore,
    bytesAfter: modelBytes(current),
    layers: layerChanges(layersBefore, bytesByLayer(current), paths),
    ...(scoreBefore !== undefined && { scoreBefore }),
    stages: reports,
  };
  return { model: current, report, manifest: manifestOf(report) };
}

/** What methods that look at weights alone can use. */
export type WeightOnlyOptions = Pick<
  CompressOptions,
  'methods' | 'storage' | 'store' | 'onProgress' | 'signal'
>;

/**
 * The same for a model of any kind, such as a tabular one, by methods that look at weights alone: those that need
 * calibration or training are refused by the plan. @throws PlanError, InvariantError
 */
export async function compressWeights<M extends Model>(
  model: M,
  recipe: Recipe,
  options: WeightOnlyOptions,
): Promise<Omit<Compressed, 'model'> & { readonly model: M }> {
  // What only language models have is asked for by calibration and training, which these options do not hold.
  const { report, manifest } = await compress(model as Model as CausalLM, recipe, options);
  return { model, report, manifest };
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

interface Stage extends TrainingStage {
  readonly key: string;
  readonly seed: number;
  readonly modifiers: readonly Modifier[];
  /** Methods of the stages before. */
  readonly finished: readonly FinishedMethod[];
}

interface StageResult {
  readonly model: CausalLM;
  readonly outcomes: readonly SiteOutcome[];
  readonly renamed?: Readonly<Record<string, string>>;
  readonly training?: Readonly<Record<string, unknown>>;
}

async function runStage(model: CausalLM, stage: Stage, options: CompressOptions): Promise<StageResult> {
  const pending: PendingStructure = { removed: new Set(), config: null };
  const applying = stage.modifiers.filter(({ apply }) => apply);
  const outcomes =
    applying.length > 0 ? await apply(model, { ...stage, modifiers: applying }, pending, options) : [];
  const training = stage.modifiers.some(({ needs }) => needs.training)
    ? await trainOnce(model, stage, options)
    : undefined;
  for (const modifier of stage.modifiers) {
    for (const site of sitesOf(model, modifier))
      await applyEdits(model, (await modifier.finish?.(site)) ?? [], pending);
  }
  if (pending.removed.size === 0 && !pending.config)
    return { model, outcomes, ...(training && { training }) };
  if (!options.rebuild) {
    throw new CompressError({
      where: `stage ${stage.name}`,
      what: 'the shape of the model changes, and nobody builds the new one',
      hint: 'Pass rebuild: skeleton of @frugal/models.',
    });
  }
  model.config = { ...model.config, ...pending.config };
  const next = restructure(model, pending.removed, options.rebuild);
  return { ...next, outcomes, ...(training && { training }) };
}

function apply(
  model: CausalLM,
  { key, name, modifiers }: Stage,
  pending: PendingStructure,
  { calibration = [], calibrationDomains: domains, store = undefined, onProgress, signal }: CompressOptions,
): Promise<readonly SiteOutcome[]> {
  const onSite = (done: number, total: number, path: string) => {
    onProgress?.({ stage: name, done, total, path });
    signal?.throwIfAborted();
  };
  return new StageRun(model, modifiers, pending, {
    key,
    calibration,
    domains,
    store: store ?? null,
    onSite,
  }).run();
}

/** The training of a stage, unless an earlier run finished it. */
async function trainOnce(model: CausalLM, stage: Stage, options: CompressOptions) {
  const { teacher = null, data, train, store } = options;
  const part = `${stage.key}-trained`;
  const backend = model.parameters()[0]?.value.backend ?? currentBackend();
  const stored = await store?.load(part, backend);
  if (stored) {
    restoreModules(model, stored.modules);
    return stored.notes as Readonly<Record<string, unknown>>;
  }
  widenWeights(model, ['']);
  const held = stage.finished.flatMap((method) => method.modifier.hold?.(method.sites(model)) ?? []);
  const result = await trainStage(stage.modifiers, held, {
    model,
    teacher,
    data,
    stage: { name: stage.name, index: stage.index, settings: stage.settings },
    seed: stage.seed,
    train: train as TrainFunction,
  });
  if (store) await saveModules(store, part, holders(model), result);
  return result;
}

function sitesOf(model: CausalLM, { sites, spec }: Modifier): Site[] {
  return findSites(model, sites, spec.targets);
}

async function checkInvariants(
  model: CausalLM,
  finished: readonly FinishedMethod[],
  stage: string,
): Promise<void> {
  for (const method of finished) {
    const { modifier } = method;
    if (!modifier.invariant) continue;
    for (const site of method.sites(model)) {
      const problem = await modifier.invariant(site);
      if (!problem) continue;
      throw new InvariantError({
        where: `stage ${stage}`,
        what: `${modifier.spec.type} no longer holds at ${site.path}`,
        got: problem,
      });
    }
  }
  releaseWeights(model);
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
    layers: stages.map(({ name, modifiers, outcomes, renamed, score }) => ({
      stage: name,
      modifiers: modifiers.map(({ type, sites }) => ({
        type,
        sites: sites.map(({ packed, ...site }) => ({ ...site, ...(packed && { format: packed.format }) })),
      })),
      outcomes: outcomes.map(({ path, method, measured }) => ({ path, method, ...measured })),
      ...(renamed && { renamed }),
      ...(score !== undefined && { score }),
    })),
  } as Manifest;
}
