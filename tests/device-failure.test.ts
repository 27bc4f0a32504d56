import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AscendBackend } from '@frugal/backend-ascend';
import { createModel } from '@frugal/models';
import { referenceBackend, setBackend } from '@frugal/tensor-core';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, DeviceFailureError, languageModelLoss, train } from '@frugal/trainer';
import { afterAll, afterEach, expect, it } from 'vitest';
import {
  expectNoViolations,
  needsStub,
  openBackend,
  stubControl,
} from '../packages/backend-ascend/test/ascend.js';

needsStub();
expectNoViolations();

const folder = mkdtempSync(join(tmpdir(), 'frugal-device-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => setBackend(referenceBackend()));

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 13,
  max_position_embeddings: 512,
};

/** Every fourth batch is much longer than the others. */
function batches() {
  let drawn = 0;
  return {
    next: () => {
      const length = ++drawn % 4 === 0 ? 400 : 8;
      return nextTokenBatch([Int32Array.from({ length }, (_, i) => (3 * i + drawn) % 13)]);
    },
    state: () => drawn,
    restore: (state: unknown) => {
      drawn = state as number;
    },
  };
}

/** Losses by step; `onStep` is called after each. */
async function run(directory: string, steps: number, onStep: (step: number) => void = () => {}) {
  const model = createModel(config, { seed: 1 });
  const losses = new Map<number, number>();
  try {
    const events = train({
      model,
      batches: batches(),
      loss: languageModelLoss(model),
      optimizer: new AdamW(),
      schedule: constant({ peak: 0.01 }),
      steps,
      checkpoint: { directory: join(folder, directory), every: 2, resume: true },
    });
    for await (const event of events) {
      if (event.type !== 'step') continue;
      losses.set(event.step, event.loss);
      onStep(event.step);
    }
    return losses;
  } finally {
    model.dispose();
  }
}

/** What a run throws. */
async function failureOf(running: Promise<unknown>): Promise<DeviceFailureError> {
  const error = await running.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DeviceFailureError);
  return error as DeviceFailureError;
}

it('saves the steps before one that does not fit into the memory of the device, and goes on from there', async () => {
  const backend: AscendBackend = openBackend();
  setBackend(backend);
  const { limitMemory } = stubControl();
  // Room for the short batches, which two steps have shown, and for nothing else.
  const failed = run('memory', 6, (step) => step === 2 && limitMemory(backend.memory.used + 2 ** 19));
  const { message, isCurrent, step } = await failureOf(failed);
  limitMemory(0);
  expect({ isCurrent, step }).toEqual({ isCurrent: true, step: 4 });
  expect(message).toMatch(/no room for \d+ bytes; \d+ bytes are in use.*Lower the tokens per step/);
  expect(message).toMatch(/All steps before it are saved in .*step-00000003: resume from there/);
  const rest = await run('memory', 6);
  expect([...rest.keys()]).toEqual([4, 5, 6]);
  const whole = await run('whole', 6);
  for (const [at, loss] of rest) expect(loss).toBe(whole.get(at));
});

it('names the last checkpoint when the device is lost', async () => {
  setBackend(openBackend());
  const HEARTBEAT_LOST = 507010;
  const failed = run('lost', 6, (step) => step === 2 && stubControl().failOp('aclnnMatmul', HEARTBEAT_LOST));
  const { message, isCurrent } = await failureOf(failed);
  expect(isCurrent).toBe(false);
  expect(message).toMatch(/status 507010.*The last checkpoint is .*step-00000002: resume from there/);
});
