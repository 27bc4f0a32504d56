import type { JsonObject } from '@frugal/checkpoint';
import {
  type Document,
  readDocuments,
  type SamplerOptions,
  SequenceSampler,
  type TokenDataset,
} from '@frugal/data';
import { perplexity } from '@frugal/eval';
import { hasSelectionBias, SelectionBalancer } from '@frugal/moe';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import {
  createOptimizer,
  type EvaluationOptions,
  type LossObserver,
  languageModelLoss,
  multiTokenLoss,
  type Precision,
  progressBar,
  schedules,
  type TrainOptions,
  train,
  WeightAverage,
} from '@frugal/trainer';
import type { Context } from '../context.js';
import { preferredDType } from '../preferred-dtype.js';
import { type EvaluationConfig, stepsOf, type TrainingConfig } from './config.js';
import type { RunDirectory } from './run-directory.js';
import { Traffic } from './traffic.js';

/** What a finished training tells about itself. */
export interface TrainingRecord {
  readonly steps: number;
  /** What activations were stored in. */
  readonly precision: Precision;
  readonly tokens: number;
  readonly seconds: number;
  /** Mean of the last steps, in nats per token. */
  readonly loss: number | null;
  /** Of the last evaluation. */
  readonly metrics: Readonly<Record<string, number>>;
  /** How many processes trained, the share of each in the last step, and the bytes that the first got in a step. */
  readonly distribution?: {
    readonly ranks: number;
    readonly shares: readonly number[];
    readonly bytesPerStep: number;
  };
  /** Where the best evaluation was, whose weights the model now has; of runs with `patience`. */
  readonly best?: { readonly step: number; readonly value: number; readonly stoppedEarly: boolean };
}

/** `auto`: what all devices of the model multiply best. Ranks that train by themselves cannot agree on the loss scale of f16. */
function precisionOf(
  { precision }: Pick<TrainingConfig, 'precision'>,
  model: TrainOptions['model'],
  distributed: TrainOptions['distributed'],
): Precision {
  if (precision !== 'auto') return precision;
  const preferred = preferredDType(model.parameters().map(({ value }) => value.backend));
  return preferred === 'f16' && distributed?.local ? 'f32' : preferred;
}

export interface TrainingSetup {
  readonly label: string;
  readonly config: TrainingConfig;
  readonly run: RunDirectory;
  readonly resume: boolean;
  readonly evaluate?: EvaluationOptions | undefined;
  /** Other processes that train with this one. */
  readonly distributed?: TrainOptions['distributed'];
}

/** Trains a model to the end of its run. The fields of `job` are what `compress` hands to a trainer as well. */
export async function runTraining(
  job: Pick<TrainOptions, 'model' | 'batches' | 'loss' | 'afterStep' | 'reduce'>,
  { label, config, run, resume, evaluate, distributed }: TrainingSetup,
  { terminal, signal }: Context,
): Promise<TrainingRecord> {
  const steps = stepsOf(config);
  const {
    learningRate: peak,
    finalLearningRate: final,
    clipNorm,
    accumulate,
    checkpointEvery,
    averageDecay,
  } = config;
  const average = averageDecay === undefined ? undefined : new WeightAverage({ decay: averageDecay });
  const stepsIn = (part: number) => (part < 1 ? Math.ceil(part * steps) : Math.round(part));
  // A share of the steps is never all of them: the only step of a run would have a rate of 0.
  const warmup = config.warmup < 1 ? Math.min(stepsIn(config.warmup), steps - 1) : stepsIn(config.warmup);
  const decay = stepsIn(config.decay);
  const isMain = (distributed?.collective.rank ?? 0) === 0;
  const { progressStream } = terminal;
  const stream = { isTTY: progressStream !== undefined, write: terminal.err, columns: terminal.columns };
  const bar = progressBar({ label, stream });
  const precision = precisionOf(config, job.model, distributed);
  const record = { steps, precision, tokens: 0, seconds: 0, loss: null as number | null, metrics: {} };
  const traffic = new Traffic();
  const events = train({
    ...job,
    steps,
    accumulate,
    clipNorm,
    precision,
    optimizer: createOptimizer(config.optimizer),
    schedule: schedules[config.schedule]({ peak, final, steps, warmup, decay }),
    checkpoint: { directory: run.checkpoints, every: { seconds: checkpointEvery }, keep: 1, resume },
    log: run.log,
    page: run.page,
    signal,
    ...(config.recompute && { recompute: config.recompute }),
    ...(average && { average }),
    ...(distributed && { distributed }),
    ...(evaluate && { evaluate: { ...evaluate, averaged: average !== undefined } }),
  });
  try {
    for await (const event of events) {
      if (isMain) bar.update(event);
      if (event.type === 'step') {
        if (event.division) traffic.observe(event.division);
        Object.assign(record, { tokens: event.tokens, seconds: event.seconds, loss: event.smoothedLoss });
      }
      if (event.type === 'evaluation') record.metrics = event.metrics;
      if (event.type === 'best')
        Object.assign(record, {
          best: { step: event.step, value: event.value, stoppedEarly: event.stoppedEarly },
          // The model that is saved is that of the best step.
          metrics: { ...record.metrics, ...(evaluate?.best && { [evaluate.best.metric]: event.value }) },
        });
    }
    average?.copyTo(job.model);
  } finally {
    bar.close();
    average?.dispose();
    if (signal.aborted && isMain) terminal.err('A checkpoint is kept: go on with --resume.\n');
  }
  return distributed ? { ...record, distribution: traffic.summary() } : record;
}

/**
 * Next-token training of a model, and that of its blocks for further tokens; its experts are balanced by their
 * selection bias where they have one, unless `balance` is false: an adapter cannot hold what the biases of its base became.
 */
export function languageModelJob(
  model: CausalLM,
  { selectionBiasRate, multiTokenWeight }: Pick<TrainingConfig, 'selectionBiasRate' | 'multiTokenWeight'>,
  { balance = true }: { readonly balance?: boolean } = {},
): Pick<TrainOptions, 'model' | 'loss' | 'afterStep' | 'reduce'> {
  const weight = multiTokenWeight ?? (model.extraBlocks.length > 0 ? 0.3 : 0);
  const lossWith = (observer?: LossObserver) =>
    weight > 0
      ? multiTokenLoss(model, { weight, ...(observer && { observer }) })
      : languageModelLoss(model, observer);
  if (!balance || !hasSelectionBias(model)) return { model, loss: lossWith() };
  const balancer = new SelectionBalancer(model, selectionBiasRate);
  return {
    model,
    loss: lossWith(balancer),
    reduce: (collective) => balancer.reduce(collective),
    afterStep: (_, finite) => balancer.update(finite),
  };
}

export function batchesOf(
  { tokens }: TokenDataset,
  { sequence, batch, seed }: TrainingConfig,
  options: Pick<SamplerOptions, 'shift'> = {},
): SequenceSampler {
  return new SequenceSampler(tokens, { length: sequence, batch, seed, ...options });
}

/** Bits per byte of held-out texts, as the trainer asks for it. */
export async function evaluationOf(
  model: CausalLM,
  tokenizer: Tokenizer,
  { texts: files, every, context, patience }: EvaluationConfig,
  { sequence }: TrainingConfig,
): Promise<EvaluationOptions> {
  const documents: Document[] = [];
  for await (const document of readDocuments(files)) documents.push(document);
  const texts = documents.map(({ text }) => text);
  return {
    every,
    ...(patience !== undefined && { best: { metric: 'bitsPerByte', patience } }),
    run: async () => {
      const { bitsPerByte } = await perplexity(model, tokenizer, texts, { context: context ?? sequence });
      return { bitsPerByte };
    },
  };
}

/** Settings and outcome of a training, for the manifest of its model. */
export function trainingFacts(config: TrainingConfig, record: TrainingRecord | undefined): JsonObject {
  return JSON.parse(JSON.stringify({ ...config, ...record })) as JsonObject;
}
