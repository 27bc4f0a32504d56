import { cpuBackend } from '@frugal/backend-cpu';
import { createModel } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import {
  AdamW,
  GroupSampler,
  languageModelLoss,
  linear,
  policyLoss,
  type RewardedPrompt,
  type TargetSequence,
  targetLogProbs,
  train,
} from '@frugal/trainer';
import { type Row, report } from '../shared/result.js';

/**
 * Does a verifiable reward teach? A model of 0.1 M parameters learns sums of two numbers from examples of which most are
 * wrong, and then from rewards alone (GRPO: 1 for the right sum and an end, else 0), with three seeds. What counts is
 * the expected reward on sums that neither part has seen: the probability of the right answer, computed, not sampled.
 * `npm run bench -- rewards`; `-- rewards -- --quick` checks that the program works.
 */
const SEEDS = [1, 2, 3];
const NUMBERS = 20;
const HELD_OUT = 0.2;
/** Share of the examples whose sum is right. */
const RIGHT = 0.4;
const isQuick = process.argv.includes('--quick');
const STEPS = isQuick ? { examples: 20, rewards: 5 } : { examples: 1500, rewards: 600 };

// Numbers are tokens of their own; behind the largest sum come the two signs and the end.
const [PLUS, EQUALS, END] = [2 * NUMBERS, 2 * NUMBERS + 1, 2 * NUMBERS + 2];
const config = {
  ...{ architectures: ['LlamaForCausalLM'], hidden_size: 64, intermediate_size: 192, num_hidden_layers: 2 },
  ...{ num_attention_heads: 4, vocab_size: END + 1, max_position_embeddings: 8, tie_word_embeddings: true },
};

interface Sum {
  readonly prompt: readonly number[];
  readonly answer: number;
}

/** All sums in an order of their own for each seed. */
function shuffledSums(seed: number): Sum[] {
  const random = generator(seed);
  const all = Array.from({ length: NUMBERS ** 2 }, (_, i) => [i % NUMBERS, Math.floor(i / NUMBERS)]);
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all.map(([a, b]) => ({ prompt: [a, PLUS, b, EQUALS], answer: a + b }));
}

/** Numbers from 0 to below 1 (SplitMix32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

function answered({ prompt }: Sum, answer: number): TargetSequence {
  const tokens = Int32Array.of(...prompt, answer, END);
  return { tokens, targets: tokens.map((_, i) => (i < prompt.length - 1 ? -100 : (tokens[i + 1] ?? -100))) };
}

/** Expected reward: mean probability of the right answer. */
async function score(model: CausalLM, sums: readonly Sum[]): Promise<number> {
  const logProbs = await targetLogProbs(
    model,
    sums.map((sum) => answered(sum, sum.answer)),
  );
  return logProbs.reduce((total, [number, end]) => total + Math.exp(number + end), 0) / sums.length;
}

/** Examples, drawn one after the other, most of them wrong. */
async function learnFromExamples(model: CausalLM, sums: readonly Sum[], seed: number): Promise<void> {
  const random = generator(1000 + seed);
  const draw = () => {
    const sum = sums[Math.floor(random() * sums.length)];
    return answered(sum, random() < RIGHT ? sum.answer : Math.floor(random() * (2 * NUMBERS - 1)));
  };
  const next = () => {
    const texts = Array.from({ length: 64 }, draw);
    const targets = Int32Array.from(texts.flatMap((text) => [...text.targets]));
    return { sequences: texts.map(({ tokens }) => tokens), targets };
  };
  const steps = STEPS.examples;
  const run = train({
    model,
    batches: { next, state: () => null, restore: () => {} },
    loss: languageModelLoss(model),
    optimizer: new AdamW({ weightDecay: 0.1, beta2: 0.95 }),
    schedule: linear({ peak: 3e-3, steps, warmup: steps / 20 }),
    steps,
    clipNorm: 1,
  });
  for await (const _ of run);
}

async function learnFromRewards(
  model: CausalLM,
  reference: CausalLM,
  sums: readonly Sum[],
  seed: number,
): Promise<number[]> {
  const rewards: number[] = [];
  const prompts = sums.map(
    ({ prompt, answer }): RewardedPrompt => ({
      tokens: Int32Array.from(prompt),
      reward: ([number, end]) => Number(number === answer && end === END),
    }),
  );
  const batches = new GroupSampler(model, {
    ...{ prompts, groupSize: 8, promptsPerBatch: 16, maxTokens: 2, stopIds: [END], seed, reference },
    onRewards: (batch) => rewards.push(batch.reduce((sum, reward) => sum + reward, 0) / batch.length),
  });
  const steps = STEPS.rewards;
  const schedule = linear({ peak: 5e-4, steps, warmup: 5 });
  const run = train({
    model,
    batches,
    loss: policyLoss(model, { klWeight: 0.01 }),
    optimizer: new AdamW({ weightDecay: 0 }),
    schedule,
    steps,
    clipNorm: 1,
  });
  for await (const _ of run);
  return rewards;
}

/** The same weights in a second model. */
function copyOf(model: CausalLM, seed: number): CausalLM {
  const copy = createModel({ ...config }, { seed });
  const values = new Map([...model.namedParameters()]);
  for (const [path, parameter] of copy.namedParameters()) {
    const source = values.get(path);
    if (source) parameter.value = source.value.copy().detach();
    parameter.trainable = false;
  }
  return copy;
}

setBackend(cpuBackend());
const row: Row & { ours: number[]; theirs: number[] } = {
  name: 'expected reward on held-out sums, after rewards and before',
  peer: 'before',
  unit: '',
  ours: [],
  theirs: [],
};
for (const seed of SEEDS) {
  const sums = shuffledSums(seed);
  const heldOut = sums.slice(0, Math.floor(HELD_OUT * sums.length));
  const seen = sums.slice(heldOut.length);
  const model = createModel({ ...config }, { seed });
  await learnFromExamples(model, seen, seed);
  const before = await score(model, heldOut);
  const rewards = await learnFromRewards(model, copyOf(model, seed), seen, seed);
  const after = await score(model, heldOut);
  row.ours.push(after);
  row.theirs.push(before);
  console.error(
    `seed ${seed}: held out ${before.toFixed(3)} → ${after.toFixed(3)}, training ${rewards[0]?.toFixed(3)} → ${rewards.at(-1)?.toFixed(3)}`,
  );
}
report([row], { seeds: SEEDS, steps: STEPS, heldOut: HELD_OUT, rightExamples: RIGHT });
if (!isQuick && row.ours.some((after, i) => after <= row.theirs[i])) process.exitCode = 1;
