import { writeSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { attachAdapters } from '@frugal/lora';
import { createModel } from '@frugal/models';
import type { BatchSource } from '@frugal/tensor-core/nn';
import {
  AdamW,
  constant,
  GroupSampler,
  type Loss,
  languageModelLoss,
  type PreferencePair,
  policyLoss,
  preferenceLoss,
  train,
} from '@frugal/trainer';
import { ExampleSampler } from '../packages/data/src/example-sampler.js';
import { dyingRun } from '../packages/trainer/test/dying-run.js';

/*
 * node tuning-process.mjs FOLDER KIND [STEP]: a run of 13 steps of a tiny Llama, of one kind of tuning, that goes on where it was
 * stopped. Prints each event; kills itself in the middle of the save after STEP.
 */
const [folder, kind, dieInSaveAt] = process.argv.slice(2);

const make = () =>
  createModel(
    {
      ...{ architectures: ['LlamaForCausalLM'], hidden_size: 16, intermediate_size: 32 },
      ...{ num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 8 },
      ...{ max_position_embeddings: 16, tie_word_embeddings: true },
    },
    { seed: 1 },
  );
const model = make();

/** A prompt and an answer, of which the answer alone counts. */
function example(first: number, answer: readonly number[]) {
  const tokens = Int32Array.of(4, first, ...answer);
  return { tokens, targets: tokens.map((_, i) => (i === 0 ? -100 : (tokens[i + 1] ?? -100))) };
}

const pairs: PreferencePair[] = [1, 2, 3, 5, 6].map((token) => ({
  chosen: example(token, [token, token]),
  rejected: example(token, [0, token, 7]),
}));

/** Two pairs after the other, again and again. */
class PairSource implements BatchSource<{ readonly pairs: readonly PreferencePair[] }> {
  private drawn = 0;
  next() {
    return { pairs: [0, 1].map(() => pairs[this.drawn++ % pairs.length]) };
  }
  state(): unknown {
    return this.drawn;
  }
  restore(state: unknown): void {
    this.drawn = state as number;
  }
}

const examples = [1, 2, 3, 5, 6].map((token) => example(token, [token, 7, token].slice(0, 1 + (token % 3))));
const supervised = () => tune(new ExampleSampler(examples, { batch: 2, seed: 3 }), languageModelLoss(model));

const runs: Readonly<Record<string, () => Promise<void>>> = {
  sft: supervised,
  lora: () => {
    attachAdapters(model, { targets: { include: ['blocks.**'] }, rank: 2 });
    return supervised();
  },
  dpo: () => tune(new PairSource(), preferenceLoss(model, { reference: make() })),
  grpo: () => {
    const sampler = new GroupSampler(model, {
      prompts: [1, 2, 3].map((token) => ({
        tokens: Int32Array.of(4, token),
        reward: (answer) => answer.filter((id) => id === token).length / answer.length,
      })),
      ...{ groupSize: 4, promptsPerBatch: 2, maxTokens: 3, stopIds: [7], seed: 5 },
      reference: make(),
    });
    return tune(sampler, policyLoss(model));
  },
};

async function tune<B>(batches: BatchSource<B>, loss: Loss<B>): Promise<void> {
  const events = train({
    ...{ model, batches, loss, optimizer: new AdamW(), schedule: constant({ peak: 0.02 }) },
    steps: 13,
    clipNorm: 1,
    ...dyingRun(folder, dieInSaveAt),
  });
  for await (const event of events) {
    writeSync(1, `${event.type} ${event.step}\n`);
    await setTimeout(20); // so that a kill hits what comes next, and not the end
  }
}

await runs[kind]();
