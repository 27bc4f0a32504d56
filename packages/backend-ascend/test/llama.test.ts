import { createModel } from '@frugal/models';
import { type Backend, referenceBackend, setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, type Precision, train } from '@frugal/trainer';
import { afterEach, describe, expect, it } from 'vitest';
import { expectNoViolations, needsStub, openBackend } from './ascend.js';

needsStub();
expectNoViolations();
afterEach(() => setBackend(referenceBackend()));

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 61,
  max_position_embeddings: 64,
};

const sequence = (first: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (first * 7 + i * 3) % config.vocab_size);

function counting() {
  let start = 0;
  return {
    next: () => nextTokenBatch([sequence(start++, 9), sequence(start + 4, 6)]),
    state: () => start,
    restore: (state: unknown) => {
      start = state as number;
    },
  };
}

/** Losses of a few steps from the same beginning. */
async function trainOn(
  backend: Backend,
  precision: Precision,
  steps: number,
  afterStep: () => void = () => {},
): Promise<number[]> {
  setBackend(backend);
  const model = createModel(config, { seed: 3 });
  const losses: number[] = [];
  const run = train({
    model,
    batches: counting(),
    loss: languageModelLoss(model),
    optimizer: new AdamW({ weightDecay: 0.1 }),
    schedule: constant({ peak: 0.01 }),
    steps,
    clipNorm: 1,
    precision,
  });
  for await (const event of run) {
    if (event.type !== 'step') continue;
    losses.push(event.loss);
    afterStep();
  }
  model.dispose();
  return losses;
}

async function continueOn(backend: Backend, prompt: Int32Array): Promise<number[]> {
  setBackend(backend);
  const model = createModel(config, { seed: 5 });
  const tokens: number[] = [];
  for await (const id of generate(model, prompt, { maxTokens: 20, temperature: 0 })) tokens.push(id);
  model.dispose();
  return tokens;
}

describe('a small Llama on the stub of CANN', () => {
  it('trains as on the reference backend', async () => {
    const [actual, expected] = [
      await trainOn(openBackend(), 'f32', 6),
      await trainOn(referenceBackend(), 'f32', 6),
    ];
    expect(actual).toHaveLength(6);
    for (const [i, loss] of expected.entries()) expect(actual[i]).toBeCloseTo(loss, 4);
    expect(new Set(expected).size).toBe(6);
  });

  it.each(['bf16', 'f16'] as const)('trains in %s', async (precision) => {
    const [actual, expected] = [
      await trainOn(openBackend(), precision, 4),
      await trainOn(referenceBackend(), precision, 4),
    ];
    for (const [i, loss] of expected.entries()) expect(Math.abs(actual[i] - loss)).toBeLessThan(0.02);
  });

  it('generates the tokens of the reference backend', async () => {
    const prompt = sequence(2, 11);
    const [actual, expected] = [
      await continueOn(openBackend(), prompt),
      await continueOn(referenceBackend(), prompt),
    ];
    expect(actual).toEqual(expected);
    expect(new Set(expected).size).toBeGreaterThan(3);
  });
});

describe('memory', () => {
  it('does not grow with the steps of training', async () => {
    const backend = openBackend();
    const used: number[] = [];
    const before = backend.memory.used;
    await trainOn(backend, 'f32', 12, () => used.push(backend.memory.used));
    // The moments of the optimizer are made in the first step.
    expect(new Set(used.slice(2, 11)).size).toBe(1);
    expect(backend.memory.used).toBeLessThanOrEqual(Math.max(before, used[0]));
  });
});
