import type { AscendBackend } from '@frugal/backend-ascend';
import { cpuBackend } from '@frugal/backend-cpu';
import type { CudaBackend } from '@frugal/backend-cuda';
import { createModel } from '@frugal/models';
import { type Backend, referenceBackend, setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, type Precision, train } from '@frugal/trainer';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as ascend from '../packages/backend-ascend/test/ascend.js';
import * as cuda from '../packages/backend-cuda/test/tensorflow.js';
import { useNativeBackend } from './support/native.js';

/** A backend that is not there on every machine, and what its own tests know of it. */
interface Subject {
  readonly name: string;
  open(): Backend;
  /** Registers hooks: skips where the backend cannot run, and checks of its own at the end. */
  prepare(): void;
  /** What it holds on the device, in a unit of its own; left out where memory is the host's. */
  held?(backend: Backend): number;
}

const subjects: readonly Subject[] = [
  {
    name: 'native kernels',
    open: () => cpuBackend(),
    prepare: () =>
      beforeEach((context) => {
        if (!useNativeBackend()) context.skip('needs the native addon');
      }),
  },
  {
    name: 'TensorFlow',
    open: cuda.openBackend,
    prepare: cuda.needsTensorFlow,
    held: (backend) => (backend as CudaBackend).handles,
  },
  {
    name: 'the stub of CANN',
    open: ascend.openBackend,
    prepare: () => {
      ascend.needsStub();
      ascend.expectNoViolations();
    },
    held: (backend) => (backend as AscendBackend).memory.used,
  },
];

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

afterEach(() => setBackend(referenceBackend()));

describe.each(subjects)('a small Llama on $name', ({ open, prepare, held }) => {
  prepare();

  it('trains as on the reference backend', async () => {
    const actual = await trainOn(open(), 'f32', 6);
    const expected = await trainOn(referenceBackend(), 'f32', 6);
    expect(actual).toHaveLength(6);
    for (const [i, loss] of expected.entries()) expect(actual[i]).toBeCloseTo(loss, 4);
    expect(new Set(expected).size).toBe(6);
  });

  it.each(['bf16', 'f16'] as const)('trains in %s', async (precision) => {
    const actual = await trainOn(open(), precision, 4);
    const expected = await trainOn(referenceBackend(), precision, 4);
    for (const [i, loss] of expected.entries()) expect(Math.abs(actual[i] - loss)).toBeLessThan(0.02);
  });

  it('generates the tokens of the reference backend', async () => {
    const prompt = sequence(2, 11);
    const actual = await continueOn(open(), prompt);
    const expected = await continueOn(referenceBackend(), prompt);
    expect(actual).toEqual(expected);
    expect(new Set(expected).size).toBeGreaterThan(3);
  });

  it.runIf(held)('holds as much after every step of training', async () => {
    const backend = open();
    const amounts: number[] = [];
    await trainOn(backend, 'f32', 30, () => amounts.push(held?.(backend) ?? 0));
    // The moments of the optimizer and constants are made in the first steps; the last ones are reported together.
    expect(new Set(amounts.slice(5, 29)).size).toBe(1);
  });
});
