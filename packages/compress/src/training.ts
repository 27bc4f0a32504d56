import { noGrad, ShapeError, type Tensor, tensor } from '@frugal/tensor-core';
import { type BatchSource, type CausalLM, Module, stepBatch, type TrainBatch } from '@frugal/tensor-core/nn';
import { PlanError } from './errors.js';
import type { Modifier, ModifierTraining } from './modifier.js';
import { findSites } from './site.js';

/** What the injected trainer is asked to do; the fields are those of `train()` in `@frugal/trainer`. */
export interface TrainJob {
  readonly model: CausalLM;
  readonly batches: BatchSource;
  /** Σ over the rows of a batch, in nats, what it is divided by, and how many tokens were read. */
  loss(batch: TrainBatch): {
    readonly sum: Tensor;
    readonly weight: number;
    readonly tokens: number;
    /** What must be finite, by what it is: f32 [], 1 or 0. */
    readonly checks: ReadonlyMap<string, Tensor>;
  };
  afterStep(step: number): void;
  /** The stage that trains. */
  readonly stage: TrainingStage;
}

/** The stage of a recipe that trains. */
export interface TrainingStage {
  readonly name: string;
  /** Its place in the recipe, for file names. */
  readonly index: number;
  /** `training` of the stage, as the recipe has it. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** Batches for stages that train: the same for all, or made for each stage by what it says of its training. */
export type TrainingData = BatchSource | ((stage: TrainingStage) => BatchSource);

/** Runs a job to its end. Optimizer, schedule, steps and progress are the caller's choice. */
export type TrainFunction = (job: TrainJob) => Promise<Readonly<Record<string, unknown>>>;

interface TrainingOptions {
  readonly model: CausalLM;
  readonly teacher: CausalLM | null;
  readonly data: TrainingData | undefined;
  readonly stage: TrainingStage;
  readonly seed: number;
  readonly train: TrainFunction;
}

/** One training for all methods of a stage that need it, while what earlier methods did is held. */
export async function trainStage(
  modifiers: readonly Modifier[],
  held: readonly Pick<ModifierTraining, 'parametrize' | 'afterStep'>[],
  options: TrainingOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const { model, teacher, seed, stage } = options;
  const data = typeof options.data === 'function' ? options.data(stage) : (options.data ?? null);
  const parts = modifiers
    .map((modifier) => {
      const sites = findSites(model, modifier.sites, modifier.spec.targets);
      return modifier.train?.({ student: model, teacher, data, sites, seed });
    })
    .filter((part) => part !== undefined);
  const own = parts.map(({ batches }) => batches).filter((source) => source !== undefined);
  const source = own[0] ?? data;
  if (own.length > 1 || !source) {
    throw new PlanError([
      own.length > 1
        ? 'two methods of one stage bring their own data'
        : 'the stage trains but there is no data',
    ]);
  }
  const needsTeacher = modifiers.some(({ needs }) => needs.teacher);
  const taking = [...held, ...parts];
  const handles = [
    ...taking.map((part) => part.parametrize?.()),
    attach(model, Object.assign({}, ...parts.map(({ modules }) => modules))),
  ];
  try {
    return await options.train({
      model,
      batches: source,
      stage,
      loss: (batch) => stageLoss(parts, { model, teacher: needsTeacher ? teacher : null, batch }),
      afterStep: (step) => {
        for (const part of taking) part.afterStep?.(step);
      },
    });
  } finally {
    for (const handle of handles) handle?.[Symbol.dispose]();
  }
}

/** Modules of the training beside the layers of the model, so that whoever walks its parameters finds theirs. */
class Auxiliary extends Module {
  constructor(private readonly parts: Readonly<Record<string, Module>>) {
    super();
  }
  override members() {
    return Object.entries(this.parts);
  }
}

function attach(model: CausalLM, modules: Readonly<Record<string, Module>>): Disposable {
  const owner = model as CausalLM & { auxiliary?: Module };
  const auxiliary = new Auxiliary(modules);
  owner.auxiliary = auxiliary;
  return {
    [Symbol.dispose]() {
      delete owner.auxiliary;
      auxiliary.dispose();
    },
  };
}

function stageLoss(
  parts: readonly ModifierTraining[],
  { model, teacher, batch }: { model: CausalLM; teacher: CausalLM | null; batch: TrainBatch },
): ReturnType<TrainJob['loss']> {
  const { vocabularySize } = model;
  requireAligned(batch);
  const collect = (of: 'student' | 'teacher') => new Set(parts.flatMap((part) => part.collect?.[of] ?? []));
  const step = stepBatch(batch.sequences, { vocabularySize, collect: collect('student') });
  const inputs = {
    batch,
    targets: tensor(batch.targets),
    weights: rowWeights(batch),
    student: model.forward(step),
    teacher: teacher && teacherForward(batch, teacher, collect('teacher')),
  };
  const losses = parts.map((part) => part.loss?.(inputs)).filter((loss) => loss !== undefined);
  if (losses.length === 0) throw new PlanError(['the stage trains, and none of its methods has a loss']);
  const weight = countedRows(batch);
  const { losses: ofLayers, checks } = inputs.student;
  // What layers ask for (balancing of experts) are means over rows.
  const all = [...losses, ...[...ofLayers.values()].map((loss) => loss.mul(weight))];
  const sum = all.reduce((total, loss) => total.add(loss));
  return { sum, weight, tokens: batch.targets.length, checks };
}

/** The teacher reads the tokens of the student, unless it has others; null where it has none at all. */
function teacherForward(
  { teacher: others, sequences }: TrainBatch,
  teacher: CausalLM,
  collect: ReadonlySet<string>,
) {
  const { vocabularySize } = teacher;
  const read = (others ?? sequences).filter(({ length }) => length > 0);
  if (read.length === 0) return null;
  return noGrad(() => teacher.forward(stepBatch(read, { vocabularySize, collect })));
}

/** Losses are divided by what targets and weights say, so each must belong to a token. */
function requireAligned({ sequences, targets, weights }: TrainBatch): void {
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  if (targets.length === tokens && (weights?.length ?? tokens) === tokens) return;
  throw new ShapeError({
    where: 'batch',
    what: 'targets and weights need one entry per token',
    got: `${targets.length} targets${weights ? ` and ${weights.length} weights` : ''}`,
    expected: String(tokens),
  });
}

/** f32 [N], or null when every row counts 1. Rows without a target count 0. */
function rowWeights({ targets, weights }: TrainBatch): Tensor | null {
  if (!weights && targets.every((target) => target !== -100)) return null;
  return tensor(Float32Array.from(targets, (target, i) => (target === -100 ? 0 : (weights?.[i] ?? 1))));
}

function countedRows({ targets, weights }: TrainBatch): number {
  return targets.reduce((sum, target, i) => sum + (target === -100 ? 0 : (weights?.[i] ?? 1)), 0);
}
