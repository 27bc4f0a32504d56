import { SequenceSampler, splitByHash } from '@frugal/data';
import { loadCorpus } from '@frugal/example-pretrain-distill-deploy/corpus';
import { createModel } from '@frugal/models';
import { noGrad, scope } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import {
  createOptimizer,
  languageModelLoss,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';

const SEQUENCE = 128;

export interface Trained {
  readonly tokenizer: Tokenizer;
  /** The trained model anew, each time: methods change what they are given. */
  open(): CausalLM;
  /** Token sequences of training text. */
  readonly calibration: readonly Int32Array[];
  readonly heldOut: readonly string[];
}

/** A small model of English speeches, trained here: something whose weights mean something. */
export async function trainSmallModel({
  steps,
  speeches,
}: {
  steps: number;
  speeches: number;
}): Promise<Trained> {
  const english = (await loadCorpus()).filter(({ label }) => label === 'English').slice(-speeches);
  const split = splitByHash(english, 1 / 4);
  const tokenizer = trainByteLevelBpe(
    split.train.map(({ text }) => text),
    { vocabularySize: 1024 },
  );
  const tokens = Int32Array.from(split.train.flatMap(({ text }) => [...tokenizer.encode(text)]));
  const config = {
    architectures: ['LlamaForCausalLM'],
    hidden_size: 96,
    intermediate_size: 256,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    vocab_size: tokenizer.vocabularySize,
    max_position_embeddings: SEQUENCE,
    tie_word_embeddings: true,
  };
  const model = createModel(config, { seed: 1 });
  const bar = progressBar({ label: 'a small model' });
  const events = train({
    model,
    batches: new SequenceSampler(tokens, { length: SEQUENCE, batch: 8, seed: 1 }),
    loss: languageModelLoss(model),
    optimizer: createOptimizer(muonWithAdamW()),
    schedule: schedules.linear({ peak: 0.01, steps, warmup: Math.ceil(steps / 20) }),
    steps,
    clipNorm: 1,
  });
  for await (const event of events) bar.update(event);
  bar.close();
  return {
    tokenizer,
    open: () => copyOf(model),
    calibration: Array.from({ length: 16 }, (_, i) => tokens.slice(i * SEQUENCE, (i + 1) * SEQUENCE)),
    heldOut: split.heldOut.map(({ text }) => text.slice(0, 8_000)),
  };
}

function copyOf(model: CausalLM): CausalLM {
  const weights = new Map(model.namedParameters());
  const copy = createModel(model.config, { seed: 1 });
  for (const [path, parameter] of copy.namedParameters())
    noGrad(() => scope(() => parameter.value.assign(weights.get(path)!.value)));
  return copy;
}
