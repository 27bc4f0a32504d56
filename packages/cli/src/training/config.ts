import { dirname, relative, resolve } from 'node:path';
import { z } from 'zod';
import { CommandError } from '../errors.js';
import { isHubReference } from '../hub/reference.js';
import { checkSettings, readSettingsFile, settings } from '../settings.js';
import { optimizerSettings } from './optimizer-settings.js';

const count = z.number().int().positive();
const hint = 'frugal pretrain --help shows an example.';

/** How a model is trained. What is left out has a default that suits models of a few million parameters. */
const trainingSchema = settings({
  /** How long: steps, or tokens (rounded up to whole steps). */
  steps: count.optional(),
  tokens: count.optional(),
  /** Tokens per sequence, sequences per batch, batches per step. */
  sequence: count.default(128),
  batch: count.default(16),
  accumulate: count.default(1),
  learningRate: z.number().positive().default(1e-2),
  finalLearningRate: z.number().nonnegative().default(0),
  schedule: z.enum(['constant', 'linear', 'cosine', 'warmup-stable-decay']).default('linear'),
  /** warmup-stable-decay: steps at the end in which the learning rate falls; below 1: share of all steps. */
  decay: z.number().nonnegative().default(0.1),
  /** Steps in which the learning rate rises; below 1: share of all steps. */
  warmup: z.number().nonnegative().default(0.05),
  /** `muon`: Muon for matrices and AdamW for the rest; `groups` give parameters to optimizers by pattern. */
  optimizer: optimizerSettings.prefault('muon'),
  clipNorm: z.number().positive().default(1),
  /** What tokens beyond the next one count, for models with blocks that predict them (MTP). Default 0.3; 0: nothing. */
  multiTokenWeight: z.number().nonnegative().optional(),
  /** Of products and activations; `auto`: what the device multiplies best, f32 on a processor. */
  precision: z.enum(['auto', 'f32', 'bf16', 'f16', 'int8']).default('auto'),
  /** Store only what goes into the blocks, and results of their products of so many bytes, and compute the rest again backward. */
  recompute: z.union([z.boolean(), z.strictObject({ keepBytes: z.number().nonnegative() })]).default(false),
  /** Decay of a moving average of the weights, which is what is evaluated and saved. */
  averageDecay: z.number().min(0).lt(1).optional(),
  /** How far the selection bias of an expert moves per step, in models whose routers have one (DeepSeek-V3). */
  selectionBiasRate: z.number().positive().default(0.001),
  seed: z.number().int().nonnegative().default(1),
  /** Seconds between two checkpoints. */
  checkpointEvery: z.number().positive().default(60),
}).refine(({ steps, tokens }) => (steps === undefined) !== (tokens === undefined), {
  message: 'give either steps or tokens',
});

/** Several processes train together: those that mpirun starts, or those that exchange files in a folder. */
const distributedSchema = settings({
  /** Exchange weights after so many steps only (DiLoCo); left out: gradients in every step. */
  localSteps: count.optional(),
  /** More exchanges early in the run, or none beside those. */
  rounds: z.enum(['growing', 'even']).default('growing'),
  /** Of each number of what changed. */
  bits: z.union([z.literal(4), z.literal(8)]).default(4),
  /** Of the step that is taken then; 1 and 0: to the mean of all ranks. */
  outerLearningRate: z.number().positive().default(1),
  outerMomentum: z.number().min(0).lt(1).default(0),
  /** How fast each rank is, compared with the others; left out: as measured. */
  speeds: z.array(z.number().positive()).optional(),
  /** Exchange files here instead, among so many processes, each of which is told its --rank. */
  folder: z.string().optional(),
  ranks: count.optional(),
}).refine(({ folder, ranks }) => (folder === undefined) === (ranks === undefined), {
  message: 'folder and ranks go together',
});

const evaluationSchema = settings({
  /** Held-out files: text, or .jsonl. */
  texts: z.array(z.string()).min(1),
  /** Steps between two evaluations. */
  every: count,
  /** Ends the run after so many evaluations that were no better; the best model is saved. */
  patience: count.optional(),
  /** Tokens per window; default: the training sequence. */
  context: count.optional(),
});

const experimentSchema = settings({
  /** config.json of Hugging Face; vocab_size may be left to the tokenizer. */
  model: z.record(z.string(), z.unknown()),
  /** A folder made by `frugal data pack`; or files and data sets of the hub, which are packed first. */
  data: z.union([z.string(), z.array(z.string()).min(1)], {
    error: ({ input }) => (input === undefined ? 'is missing' : 'expected a folder, or a list of files'),
  }),
  /** A folder with tokenizer.json. */
  tokenizer: z.string(),
  out: z.string(),
  training: trainingSchema,
  evaluation: evaluationSchema.optional(),
  distributed: distributedSchema.optional(),
});

export type TrainingConfig = z.infer<typeof trainingSchema>;
export type EvaluationConfig = z.infer<typeof evaluationSchema>;
export type DistributedConfig = z.infer<typeof distributedSchema>;
export type Experiment = z.infer<typeof experimentSchema>;

/** What a flag of the command line sets of a training. */
export type TrainingOverrides = z.input<typeof trainingSchema>;

/**
 * A configuration file in YAML or JSON. Its paths are relative to its folder.
 * @throws CommandError listing every wrong field
 */
export async function readExperiment(file: string): Promise<Experiment> {
  return resolvePaths(checkSettings(experimentSchema, await readSettingsFile(file, hint), file, hint), file);
}

/** The same for verbs that know data, tokenizer and output from elsewhere: only `model` must be there. */
export async function readPartialExperiment(file: string) {
  const { training, ...others } = (await readSettingsFile(file, hint)) as Record<string, unknown>;
  const schema = experimentSchema.omit({ training: true }).partial().required({ model: true });
  const experiment = resolvePaths(checkSettings(schema, others, file, hint), file);
  return { ...experiment, training: training as TrainingOverrides | undefined };
}

/** What `mpirun` means for a configuration that says nothing of it. */
export const defaultDistribution = (): DistributedConfig => distributedSchema.parse({});

/** @throws CommandError listing every wrong field */
export function checkTraining(values: TrainingOverrides, where: string): TrainingConfig {
  return checkSettings(trainingSchema, values, where, hint);
}

export function stepsOf({ steps, tokens = 0, sequence, batch, accumulate }: TrainingConfig): number {
  return steps ?? Math.ceil(tokens / (sequence * batch * accumulate));
}

/** @throws CommandError when sequences are longer than what the model can see */
export function checkContext(
  { contextLength }: { readonly contextLength: number },
  { sequence }: Pick<TrainingConfig, 'sequence'>,
  evaluation?: EvaluationConfig,
): void {
  const lengths = { 'training.sequence': sequence, 'evaluation.context': evaluation?.context ?? sequence };
  for (const [where, length] of Object.entries(lengths)) {
    if (length <= contextLength) continue;
    throw new CommandError({
      where,
      what: 'the sequences are longer than the context of the model',
      got: `${length} tokens`,
      expected: `at most ${contextLength}`,
      hint: 'Lower it, or train a model with a larger max_position_embeddings.',
    });
  }
}

type Paths = Partial<Pick<Experiment, 'data' | 'tokenizer' | 'out' | 'evaluation' | 'distributed'>>;

function resolvePaths<T extends Paths>(experiment: T, file: string): T {
  // As seen from here, so that manifests name no folders of this machine above it.
  const local = (path: string) => (isHubReference(path) ? path : relative('.', resolve(dirname(file), path)));
  const { data, tokenizer, out, evaluation, distributed } = experiment;
  return {
    ...experiment,
    ...(data !== undefined && { data: typeof data === 'string' ? local(data) : data.map(local) }),
    ...(tokenizer !== undefined && { tokenizer: local(tokenizer) }),
    ...(out !== undefined && { out: local(out) }),
    ...(distributed?.folder !== undefined && {
      distributed: { ...distributed, folder: local(distributed.folder) },
    }),
    ...(evaluation && { evaluation: { ...evaluation, texts: evaluation.texts.map(local) } }),
  };
}
