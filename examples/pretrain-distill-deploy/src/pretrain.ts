import { type Manifest, openCheckpoint } from '@frugal/checkpoint';
import { SequenceSampler } from '@frugal/data';
import { createModel, loadModel, saveModel } from '@frugal/models';
import type { CausalLM, TrainBatch } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  type Loss,
  languageModelLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';
import type { Prepared } from './prepare.js';
import type { RunDirectory } from './run-directory.js';
import type { Settings, Shape, Training } from './settings.js';

/** What every training of this example is given. */
export interface Laboratory {
  readonly settings: Settings;
  readonly run: RunDirectory;
  readonly data: Prepared;
  readonly signal: AbortSignal;
}

export interface TrainingRecord {
  readonly tokens: number;
  readonly seconds: number;
}

/** A finished model, and what it cost. */
export interface Trained {
  readonly model: CausalLM;
  readonly record: TrainingRecord;
}

/** Hugging Face's config of a Llama of this shape. */
function configOf(shape: Shape, { context }: Settings, vocabularySize: number) {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: shape.width,
    intermediate_size: shape.feedForward,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.heads,
    max_position_embeddings: context,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    vocab_size: vocabularySize,
  };
}

/** A new model of a shape; the same seed gives the same weights. */
export function newModel({ settings, data }: Laboratory, shape: Shape, seed: number): CausalLM {
  return createModel(configOf(shape, settings, data.tokenizer.vocabularySize), { seed });
}

export function batchesOf({ settings, data }: Laboratory, seed: number): SequenceSampler {
  return new SequenceSampler(data.training.tokens, {
    length: settings.sequence,
    batch: settings.batch,
    seed,
  });
}

/**
 * The training that all models of this example go through. It continues where an interrupted one stopped.
 * `loss` and `batches` decide what is learned.
 */
export async function runTraining(
  laboratory: Laboratory,
  name: string,
  { tokens, learningRate, embeddingLearningRate }: Training,
  job: {
    model: CausalLM;
    batches: ReturnType<typeof batchesOf>;
    loss: Loss<TrainBatch>;
    afterStep?: (step: number) => void;
  },
): Promise<TrainingRecord> {
  const { settings, run, signal } = laboratory;
  const steps = Math.ceil(tokens / (settings.batch * settings.sequence));
  const bar = progressBar({ label: name.padEnd(9) });
  const record = { tokens: 0, seconds: 0 };
  const events = train({
    ...job,
    steps,
    signal,
    optimizer: createOptimizer(
      muonWithAdamW({
        embeddingLearningRate: embeddingLearningRate / learningRate,
        dtype: settings.precision,
      }),
    ),
    schedule: schedules.linear({ peak: learningRate, steps, warmup: Math.ceil(0.05 * steps) }),
    clipNorm: 1,
    precision: settings.precision,
    checkpoint: { directory: run.file(`${name}.checkpoints`), every: { seconds: 15 }, keep: 1, resume: true },
    log: run.file(`${name}.jsonl`),
  });
  try {
    for await (const event of events) {
      bar.update(event);
      if (event.type === 'step') Object.assign(record, { tokens: event.tokens, seconds: event.seconds });
    }
  } finally {
    bar.close();
  }
  return record;
}

/** Next-token training from random weights, or the model that an earlier run left. */
export async function pretrain(
  laboratory: Laboratory,
  name: string,
  shape: Shape & Training,
): Promise<Trained> {
  const { seed } = laboratory.settings;
  return finishOnce(laboratory, name, async () => {
    const model = newModel(laboratory, shape, seed);
    const job = { model, batches: batchesOf(laboratory, seed), loss: languageModelLoss(model) };
    return { model, record: await runTraining(laboratory, name, shape, job) };
  });
}

/** A model that was just made; what `compress` did to it belongs into its checkpoint. */
interface Made extends Trained {
  readonly manifest?: Manifest;
}

/** Makes and saves a model, unless a finished one is there. */
export async function finishOnce(
  { run, data }: Laboratory,
  name: string,
  make: () => Promise<Made>,
): Promise<Trained> {
  const path = run.file(name);
  if (!run.has(name)) {
    const { model, record, manifest: made = { version: 1, kind: 'pretrain' } } = await make();
    const manifest: Manifest = { ...made, training: { ...record } };
    await saveModel(model, path, { tokenizerFiles: data.tokenizer.files(), manifest });
    model.dispose();
  }
  const checkpoint = await openCheckpoint(path);
  await checkpoint.close();
  const record = checkpoint.manifest?.training as unknown as TrainingRecord;
  return { model: await loadModel(path), record };
}
