import { ExampleSampler, SequenceSampler, type SyntheticExample } from '@frugal/data';
import { smallLlama } from '@frugal/example-support';
import { createModel } from '@frugal/models';
import { noGrad, scope, tensor } from '@frugal/tensor-core';
import type { BatchSource, CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import {
  createOptimizer,
  languageModelLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';
import { type Settings, TUNING_RATE } from './settings.js';

export function newModel({ width, layers, sequence, seed }: Settings, vocabularySize: number): CausalLM {
  // Questions with their answers are longer than what is trained on.
  const config = { ...smallLlama(width, layers, 4 * sequence), vocab_size: vocabularySize };
  return createModel(config, { seed });
}

/** Next-token training on a stream. */
export async function learn(
  label: string,
  model: CausalLM,
  tokens: Int32Array,
  budget: { readonly tokens: number; readonly rate: number },
  { sequence, batch, seed }: Settings,
): Promise<void> {
  const steps = Math.ceil(budget.tokens / (sequence * batch));
  await run(label, model, new SequenceSampler(tokens, { length: sequence, batch, seed }), steps, budget.rate);
}

/** Learns answers to questions, in the words in which exams ask them. */
export async function tune(
  model: CausalLM,
  tokenizer: Tokenizer,
  examples: readonly SyntheticExample[],
  { batch, seed, epochs }: Settings,
): Promise<void> {
  const encoded = examples.map(({ instruction, answer }) => {
    const question = tokenizer.encode(`问题：${instruction}\n答案：`, { addSpecialTokens: false });
    const rest = [...tokenizer.encode(answer, { addSpecialTokens: false }), tokenizer.eosIds[0]];
    const tokens = Int32Array.from([...question, ...rest]);
    // The question is given: only its last token, which the answer follows, has something to learn.
    const targets = tokens.map((_, i) => (i + 1 < question.length ? -100 : (tokens[i + 1] ?? -100)));
    return { tokens, targets };
  });
  const steps = Math.ceil((epochs * encoded.length) / batch);
  await run('answers', model, new ExampleSampler(encoded, { batch, seed }), steps, TUNING_RATE);
}

async function run(label: string, model: CausalLM, batches: BatchSource, steps: number, peak: number) {
  const bar = progressBar({ label: label.padEnd(10) });
  const events = train({
    model,
    batches,
    loss: languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW()),
    schedule: schedules.linear({ peak, steps, warmup: Math.ceil(0.05 * steps) }),
    steps,
    clipNorm: 1,
  });
  for await (const event of events) bar.update(event);
  bar.close();
}

/** The weights as they are now; the function puts them back. */
export async function remember(model: CausalLM): Promise<() => void> {
  const saved = await Promise.all(model.parameters().map(({ value }) => value.toFloat32()));
  return () =>
    noGrad(() =>
      scope(() => {
        for (const [i, { value }] of model.parameters().entries())
          value.assign(tensor(saved[i]).reshape(...value.shape));
      }),
    );
}
