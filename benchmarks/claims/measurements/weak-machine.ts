import { spawnSync } from 'node:child_process';
import { cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint } from '@frugal/checkpoint';
import { measureSpeed } from '@frugal/eval';
import { loadModel, tokenizerOf } from '@frugal/models';
import { setBackend } from '@frugal/tensor-core';
import { mainJob } from '../main-job.js';
import type { Setting } from '../part.js';

/** What one model did under the limits. */
export interface WeakRun {
  readonly name: string;
  readonly openSeconds: number;
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  readonly peakBytes: number;
  readonly backend: string;
}

export interface WeakMachine {
  readonly limits: readonly string[];
  readonly runs: readonly WeakRun[];
}

export const MEMORY_BYTES = 512 * 2 ** 20;

/**
 * One processor (taskset), AVX2 kernels with one thread, and at most 512 MiB of memory that the process may write to
 * (prlimit --data: the kernel refuses more). Weights mapped from files do not count there, so the largest resident memory,
 * which holds them too, is measured beside it.
 */
const LIMITS = [
  { program: 'taskset', args: ['-c', '0'], what: 'one processor (taskset)' },
  {
    program: 'prlimit',
    args: [`--data=${MEMORY_BYTES}`],
    what: '512 MiB of writable memory (prlimit --data)',
  },
] as const;

export async function measureWeakMachine(setting: Setting): Promise<WeakMachine> {
  const { folder } = await mainJob(setting);
  const models: [string, string][] = [['student-int8 of the main job', folder('student-int8')]];
  if (setting.model !== null) models.push(['SmolLM2-135M Q4_1', setting.model]);
  const there = LIMITS.filter(({ program }) => spawnSync(program, ['--version']).status === 0);
  const prefix = there.flatMap(({ program, args }) => [program, ...args]);
  const runs = models.map(([name, path]) => ({ name, ...limited(prefix, path) }));
  return { limits: ['AVX2 kernels, one thread', ...there.map(({ what }) => what)], runs };
}

/** Runs {@link answerUnderLimits} in a process that has them. */
function limited(prefix: readonly string[], path: string): Omit<WeakRun, 'name'> {
  const node = ['--v8-pool-size=1', '--max-old-space-size=128', '--max-semi-space-size=4', process.argv[1]];
  const [program, ...args] = [...prefix, process.execPath, ...node, '--weak', path];
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  });
  if (status !== 0) throw new Error(`[claims] ${path} did not run under the limits: ${stderr.slice(-400)}`);
  return JSON.parse(stdout) as Omit<WeakRun, 'name'>;
}

export async function answerUnderLimits(path: string): Promise<void> {
  const backend = cpuBackend({ isa: 'avx2', threads: 1 });
  setBackend(backend);
  const start = performance.now();
  const model = await loadModel(path);
  const checkpoint = await openCheckpoint(path);
  (await tokenizerOf(checkpoint)).encode('Once upon a time');
  await checkpoint.close();
  const openSeconds = (performance.now() - start) / 1000;
  const speed = await measureSpeed(model, { promptTokens: 64, newTokens: 64, repeats: 3 });
  const result: Omit<WeakRun, 'name'> = {
    openSeconds,
    prefillTokensPerSecond: speed.prefillTokensPerSecond.median,
    decodeTokensPerSecond: speed.decodeTokensPerSecond.median,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    backend: backend.description,
  };
  console.log(JSON.stringify(result));
}
