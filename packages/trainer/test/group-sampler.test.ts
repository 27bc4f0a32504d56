import { createModel } from '@frugal/models';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  constant,
  GroupSampler,
  type PolicyBatch,
  policyLoss,
  type TrainOptions,
  train,
} from '../src/index.js';
import { temporaryFolder } from './support.js';

const config = {
  ...{ architectures: ['LlamaForCausalLM'], hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1 },
  ...{ num_attention_heads: 2, vocab_size: 8, max_position_embeddings: 16, tie_word_embeddings: true },
};
const END = 7;

function setup(seed = 1) {
  const make = () => createModel({ ...config }, { seed });
  const model = make();
  const rewards: number[] = [];
  const sampler = new GroupSampler(model, {
    // Worth as much of an answer as is the token that ends its prompt.
    prompts: [1, 2, 3].map((token) => ({
      tokens: Int32Array.of(4, token),
      reward: (answer) => answer.filter((id) => id === token).length / answer.length,
    })),
    groupSize: 6,
    promptsPerBatch: 3,
    maxTokens: 3,
    stopIds: [END],
    seed: 5,
    reference: make(),
    onRewards: (batch) => rewards.push(batch.reduce((a, b) => a + b) / batch.length),
  });
  const options: TrainOptions<PolicyBatch> = {
    model,
    batches: sampler,
    loss: policyLoss(model),
    optimizer: new AdamW({ weightDecay: 0 }),
    schedule: constant({ peak: 0.02 }),
    clipNorm: 1,
    steps: 40,
  };
  return { model, sampler, rewards, options };
}

async function finish(options: TrainOptions<PolicyBatch>): Promise<number[]> {
  const losses: number[] = [];
  for await (const event of train(options)) if (event.type === 'step') losses.push(event.loss);
  return losses;
}

describe('GroupSampler', () => {
  it('draws groups of answers with what their tokens were likely to be', async () => {
    const { sampler } = setup();
    const { samples } = await sampler.next();
    expect(samples).toHaveLength(18);
    for (const { tokens, targets, old, reference } of samples) {
      const answer = [...tokens.subarray(2)];
      expect(answer.length).toBeGreaterThan(0);
      expect(answer.indexOf(END) === -1 || answer.indexOf(END) === answer.length - 1).toBe(true);
      expect([...targets]).toEqual([-100, ...answer, -100]);
      expect(old).toHaveLength(answer.length);
      // The model has not moved yet.
      expect([...old]).toEqual([...(reference as Float32Array)]);
    }
    expect(new Set(samples.slice(0, 6).map(({ tokens }) => String(tokens))).size).toBeGreaterThan(1);
    for (const group of [0, 6, 12]) {
      const total = samples.slice(group, group + 6).reduce((all, { advantage }) => all + advantage, 0);
      expect(total).toBeCloseTo(0, 5);
    }
  });

  it('lets rewards rise', async () => {
    const { options, rewards } = setup();
    await finish(options);
    const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
    expect(mean(rewards.slice(0, 5))).toBeLessThan(0.3);
    expect(mean(rewards.slice(-5))).toBeGreaterThan(0.7);
  });

  it('goes on with the same answers when the run is resumed', async () => {
    const whole = await finish({ ...setup().options, steps: 6 });
    const checkpoint = { directory: temporaryFolder(), resume: true };
    await finish({ ...setup().options, steps: 2, checkpoint });
    expect(await finish({ ...setup().options, steps: 6, checkpoint })).toEqual(whole.slice(2));
  });

  it('needs prompts and groups', () => {
    const { model } = setup();
    const rest = { maxTokens: 1, seed: 0 };
    expect(() => new GroupSampler(model, { prompts: [], ...rest })).toThrow(
      /nothing to compare: got 0 prompts/,
    );
    const prompts = [{ tokens: Int32Array.of(1), reward: () => 0 }];
    expect(() => new GroupSampler(model, { prompts, groupSize: 1, ...rest })).toThrow(/groups of 1/);
  });
});
