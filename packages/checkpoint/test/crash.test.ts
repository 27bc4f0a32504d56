import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint, type SaveStep, writeCheckpoint } from '../src/index.js';
import { randomNumbers, temporaryFolder } from './support.js';
import { contentsOfVersion, readVersion } from './version-contents.js';

/** The program that saves and dies, in plain JavaScript: a process of its own cannot read TypeScript. */
let program: string;

beforeAll(() => {
  program = buildSync({
    entryPoints: [fileURLToPath(new URL('./saving-process.ts', import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
    conditions: ['@frugal/source'],
  }).outputFiles[0].text;
});

const children: ChildProcess[] = [];

function start(folder: string, ...args: string[]): ChildProcess {
  const file = join(folder, 'saving-process.mjs');
  writeFileSync(file, program);
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await ended(child);
  }
});

const ended = (child: ChildProcess) => new Promise<void>((resolve) => child.once('exit', () => resolve()));

/** Files beside the checkpoint that a save left. */
const leftovers = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('.model'));

const STEPS: SaveStep[] = [
  'staging',
  'written',
  'flushed',
  'old-aside',
  'new-in-place',
  'old-given-up',
  'done',
];

describe('a process killed while it saves', () => {
  it.each(STEPS)('at the step "%s" leaves a whole checkpoint, and the next save cleans up', async (step) => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeCheckpoint(path, contentsOfVersion(1));
    const child = start(folder, 'die', path, '2', step);
    await ended(child);
    expect(child.signalCode).toBe('SIGKILL');
    const isNew = STEPS.indexOf(step) >= STEPS.indexOf('new-in-place');
    expect(leftovers(folder).length > 0).toBe(step !== 'done');
    expect(await readVersion(path)).toBe(isNew ? 2 : 1);
    await writeCheckpoint(path, contentsOfVersion(3), { force: true });
    expect(await readVersion(path)).toBe(3);
    expect(leftovers(folder)).toEqual([]);
  });

  it('does so at the first save too', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await ended(start(folder, 'die', path, '1', 'flushed'));
    await expect(openCheckpoint(path)).rejects.toThrow(/no checkpoint here/);
    await writeCheckpoint(path, contentsOfVersion(2));
    expect(await readVersion(path)).toBe(2);
    expect(leftovers(folder)).toEqual([]);
  });

  it('at a random moment leaves a whole checkpoint', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    const random = randomNumbers(3);
    let last = 0;
    let died = 0;
    for (let round = 0; round < 20; round++) {
      const child = start(folder, 'loop', path, String(last + 1));
      let done = last;
      await new Promise<void>((resolve) => {
        child.stdout?.on('data', (text: Buffer) => {
          done = Number(text.toString().trim().split('\n').at(-1));
          resolve();
        });
      });
      await new Promise((resolve) => setTimeout(resolve, random() * 60));
      child.kill('SIGKILL');
      await ended(child);
      died += Number(leftovers(folder).length > 0);
      const version = await readVersion(path);
      expect(version).toBeGreaterThanOrEqual(done);
      last = version;
    }
    expect(died).toBeGreaterThan(5); // kills that hit a save in the middle
  });

  it('is told from one that still runs', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    const child = start(folder, 'loop', path, '1');
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    const problems: string[] = [];
    for (let attempt = 0; attempt < 20; attempt++) {
      // Whichever of the two comes second is refused; the other process then ends.
      await writeCheckpoint(path, contentsOfVersion(1000), { force: true }).catch((error: Error) => {
        if (!/process \d+ is saving/.test(error.message)) problems.push(error.message);
      });
      expect(await readVersion(path)).toBeGreaterThan(0);
    }
    expect(problems).toEqual([]);
  });
});

describe('readers while another process saves', () => {
  it('see one version or the other, never none and never a mixture', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    const child = start(folder, 'loop', path, '1');
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    const seen = new Set<number>();
    for (let round = 0; round < 40; round++) seen.add(await readVersion(path));
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe('a full disk', () => {
  it('in the form of a limit on file sizes leaves the old version', async (context) => {
    if (process.platform === 'win32') context.skip('there is no ulimit on Windows');
    const folder = temporaryFolder();
    const path = join(folder, 'model');
    await writeCheckpoint(path, contentsOfVersion(1));
    writeFileSync(join(folder, 'saving-process.mjs'), program);
    const command = `ulimit -f 100; exec "${process.execPath}" "${join(folder, 'saving-process.mjs')}" once "${path}" 2`;
    const { stdout } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
    expect(stdout).toMatch(
      /^CheckpointWriteError: .*could not be saved: got EFBIG.*What was there before is untouched/,
    );
    expect(await readVersion(path)).toBe(1);
    expect(leftovers(folder)).toEqual([]);
  });

  it('of 1 MB leaves the old version', async (context) => {
    const folder = temporaryFolder();
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { encoding: 'utf8' });
    if (mounted.status !== 0) context.skip('mounting a small disk needs root on Linux');
    try {
      const path = join(disk, 'model');
      await writeCheckpoint(path, contentsOfVersion(1));
      for (let round = 0; round < 3; round++) {
        await expect(writeCheckpoint(path, contentsOfVersion(2), { force: true })).rejects.toThrow(
          /could not be saved: got ENOSPC.*What was there before is untouched. Free disk space/,
        );
        expect(await readVersion(path)).toBe(1);
        expect(leftovers(disk)).toEqual([]);
      }
    } finally {
      spawnSync('umount', [disk]);
    }
  });
});
