import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { KilledProgram } from '../packages/trainer/test/killed-program.js';

const program = new KilledProgram(fileURLToPath(new URL('./tuning-process.ts', import.meta.url)));

/** All of the last checkpoint that must not depend on interruptions, and what the log says of each step. */
function outcome(folder: string) {
  const last = join(folder, 'checkpoints', 'step-00000013', 'trainer');
  const { seconds, ...state } = JSON.parse(readFileSync(join(last, 'state.json'), 'utf8'));
  const lines = readFileSync(join(folder, 'log.jsonl'), 'utf8').trim().split('\n');
  return {
    state,
    steps: lines.map((line) => {
      const { step, loss, gradientNorm, tokens } = JSON.parse(line);
      return { step, loss, gradientNorm, tokens };
    }),
    parameters: readFileSync(join(last, 'parameters.safetensors'), 'base64'),
    optimizer: readFileSync(join(last, 'optimizer.safetensors'), 'base64'),
  };
}

it.each(['sft', 'lora', 'dpo', 'grpo'])(
  '%s that is killed with kill -9, anywhere and in the middle of saves, ends with the same bits',
  async (kind) => {
    const { folder, resumes } = await program.expectSameOutcome([kind], 9, outcome);
    expect(resumes).toBeGreaterThan(2);
    const { steps } = outcome(folder);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 13 }, (_, i) => i + 1));
    expect(new Set(steps.map(({ loss }) => loss)).size).toBeGreaterThan(5);
  },
);
