import { SequenceSampler } from '@frugal/data';
import { smallLlama } from '@frugal/example-support';
import { createModel } from '@frugal/models';
import { noGrad, scope } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import {
  createOptimizer,
  languageModelLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';
import { BASE_RATE, type Settings, SPECIALIST_RATE } from './settings.js';

/** Next-token training of whatever is trainable in a model. */
async function run(
  label: string,
  model: CausalLM,
  tokens: Int32Array,
  budget: { readonly tokens: number; readonly rate: number },
  { sequence, batch, seed }: Settings,
): Promise<void> {
  const steps = Math.ceil(budget.tokens / (sequence * batch));
  const bar = progressBar({ label: label.padEnd(10) });
  const events = train({
    model,
    batches: new SequenceSampler(tokens, { length: sequence, batch, seed }),
    loss: languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW({ dtype: 'bf16' })),
    schedule: schedules.linear({ peak: budget.rate, steps, warmup: Math.ceil(0.05 * steps) }),
    steps,
    clipNorm: 1,
    precision: 'bf16',
  });
  for await (const event of events) bar.update(event);
  bar.close();
}

/** A model trained on all domains alike. */
export async function trainBase(
  streams: readonly Int32Array[],
  vocabularySize: number,
  settings: Settings,
): Promise<CausalLM> {
  const { width, layers, sequence, seed } = settings;
  const config = { ...smallLlama(width, layers, sequence), vocab_size: vocabularySize };
  const model = createModel(config, { seed });
  const share = Math.min(...streams.map(({ length }) => length));
  const tokens = Int32Array.from(streams.flatMap((stream) => [...stream.subarray(0, share)]));
  await run('base', model, tokens, { tokens: settings.baseTokens, rate: BASE_RATE }, settings);
  return model;
}

/** A copy of the base whose feed-forward layers, and nothing else, learn one domain. */
export async function trainSpecialist(
  name: string,
  base: CausalLM,
  tokens: Int32Array,
  settings: Settings,
): Promise<CausalLM> {
  const model = createModel(base.config, { seed: settings.seed });
  const weights = new Map(base.namedParameters());
  for (const [path, parameter] of model.namedParameters()) {
    noGrad(() => scope(() => parameter.value.assign(weights.get(path)!.value)));
    parameter.trainable = /^blocks\.\d+\.mlp\./.test(path);
  }
  await run(name, model, tokens, { tokens: settings.specialistTokens, rate: SPECIALIST_RATE }, settings);
  return model;
}
