import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AscendBackend } from '@frugal/backend-ascend';
import { createModel } from '@frugal/models';
import { referenceBackend, setBackend } from '@frugal/tensor-core';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, DeviceFailureError, languageModelLoss, train } from '@frugal/trainer';
import { afterAll, afterEach, expect, it } from 'vitest';
import { signatures } from '../packages/backend-ascend/src/abi/signatures.js';
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
  stubControl().repair();
  expect(isCurrent).toBe(false);
  expect(message).toMatch(/status 507010.*The last checkpoint is .*step-00000002: resume from there/);
});

it('goes on to the same bits wherever memory ends', async () => {
  const backend = openBackend();
  setBackend(backend);
  const { limitMemory } = stubControl();
  const whole = await run('ends-whole', 4);
  const fourth = whole.get(4) as number;
  const wanted = new Set<string | undefined>();
  // Less room for each: the step, whose batch is the long one, ends in its update, backward, and forward.
  for (let room = 2 ** 21; room >= 2 ** 12; room = Math.floor(room / 1.6)) {
    const directory = `ends-${room}`;
    backend.trimMemory();
    const ended = run(directory, 4, (step) => step === 2 && limitMemory(backend.memory.used + room));
    const error = await ended.then(
      () => null,
      (thrown: Error) => thrown,
    );
    limitMemory(0);
    wanted.add(error?.message.match(/no room for \d+/)?.[0]);
    if (!error) continue;
    expect(error).toBeInstanceOf(DeviceFailureError);
    const { message, isCurrent } = error as DeviceFailureError;
    expect(isCurrent, message).toBe(true);
    expect(message).toMatch(/no room for \d+ bytes/);
    const rest = await run(directory, 4);
    for (const [step, loss] of rest) expect(loss, `${room} bytes, step ${step}`).toBe(whole.get(step));
    expect(rest.get(4) ?? fourth).toBe(fourth);
  }
  expect(wanted).toContain(undefined); // there was room enough
  expect(wanted.size).toBeGreaterThan(3);
});

it('names the last checkpoint whichever op of a step loses the device, and goes on from there', async () => {
  setBackend(openBackend());
  const { calls, failOp, repair } = stubControl();
  const HEARTBEAT_LOST = 507010;
  const KERNEL_FAILED = 0;
  const names = Object.keys(signatures).map((name) => `aclnn${name}`);
  let before: number[] = [];
  const count = () => names.map((name) => Number(calls(name)));
  let used: string[] = [];
  const whole = await run('op-whole', 4, (step) => {
    if (step === 2) before = count();
    if (step === 4) used = names.filter((_, i) => count()[i] > before[i]);
  });
  expect(used.length).toBeGreaterThan(20);
  for (const [i, name] of used.entries()) {
    const status = i % 2 === 0 ? HEARTBEAT_LOST : KERNEL_FAILED;
    const failed = run(`op-${name}`, 4, (step) => step === 2 && failOp(name, status));
    const { message } = await failureOf(failed);
    repair();
    expect(message, name).toMatch(/status 5070\d\d/);
    expect(message, name).toMatch(/step-0000000\d: resume from there/);
    const rest = await run(`op-${name}`, 4);
    for (const [step, loss] of rest) expect(loss, `${name}, step ${step}`).toBe(whole.get(step));
  }
});
