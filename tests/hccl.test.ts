import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { needsStub } from '../packages/backend-ascend/test/ascend.js';

// Ranks are processes, each with a device of the stub of CANN; its HCCL moves what they send by files.
needsStub();

interface Outcome {
  readonly sums: number[][];
  readonly sent: number[][];
  readonly gathered: number[][];
  readonly exchanged: number[][];
  readonly losses: number[];
  readonly weights: number[][];
  readonly received: number;
}

let folder: string;
// Beside packages, so that koffi is found.
const program = fileURLToPath(
  new URL('../packages/backend-ascend/node_modules/.hccl-process.mjs', import.meta.url),
);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'frugal-hccl-test-'));
  const built = buildSync({
    entryPoints: [fileURLToPath(new URL('./hccl-process.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    external: ['koffi'],
    conditions: ['@frugal/source'],
    banner: {
      js: "import { createRequire as __require } from 'node:module'; const require = __require(import.meta.url);",
    },
  });
  writeFileSync(program, built.outputFiles[0].text);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Exit codes of ranks, and what they wrote to standard error; each has a device of its own unless `device` is given. */
async function startRanks(meeting: string, size: number, device?: number) {
  return Promise.all(
    Array.from({ length: size }, (_, rank) => {
      const child = spawn(process.execPath, [program, meeting, String(rank), String(size)], {
        stdio: ['ignore', 'inherit', 'pipe'],
        env: {
          ...process.env,
          FRUGAL_STUB_DEVICES: String(size),
          FRUGAL_ASCEND_DEVICE: String(device ?? rank),
        },
      });
      let said = '';
      child.stderr.on('data', (text) => {
        said += text;
      });
      return new Promise<{ code: number | null; said: string }>((resolve) =>
        child.once('close', (code) => resolve({ code, said })),
      );
    }),
  );
}

async function runRanks(size: number): Promise<Outcome[]> {
  const meeting = mkdtempSync(join(folder, 'ranks-'));
  const ended = await startRanks(meeting, size);
  for (const { code, said } of ended) expect(code, said).toBe(0);
  return ended.map(
    (_, rank) => JSON.parse(readFileSync(join(meeting, `rank-${rank}.json`), 'utf8')) as Outcome,
  );
}

it('adds, sends, gathers and exchanges tensors of three devices', async () => {
  const ranks = await runRanks(3);
  for (const [rank, outcome] of ranks.entries()) {
    expect(outcome.sums).toEqual([0, 1, 2].map(() => [6, 30, 3]));
    expect(outcome.sent).toEqual([[3, 20, 1]]);
    expect(outcome.gathered).toEqual([[1, 0, 1, 2, 10, 1, 3, 20, 1]]);
    expect(outcome.exchanged).toEqual(
      [0, 1, 2].map((from) => Array.from({ length: from + rank }, () => 10 * from + rank)),
    );
    expect(outcome.received).toBeGreaterThan(0);
  }
});

it('trains with the same bits on one device and on two', async () => {
  const [[one], two] = [await runRanks(1), await runRanks(2)];
  expect(one.losses[2]).toBeLessThan(one.losses[0]);
  for (const rank of two) {
    expect(rank.losses).toEqual(one.losses);
    expect(rank.weights).toEqual(one.weights);
  }
});

it('refuses two processes on one device', async () => {
  const meeting = mkdtempSync(join(folder, 'ranks-'));
  for (const { code, said } of await startRanks(meeting, 2, 0)) {
    expect(code).not.toBe(0);
    expect(said).toMatch(
      /two processes would share one device: got ranks 0 and 1, both on device 0 of .*FRUGAL_ASCEND_DEVICE/s,
    );
  }
});
