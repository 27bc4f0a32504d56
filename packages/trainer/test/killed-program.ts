import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterEach, expect } from 'vitest';
import { temporaryFolder } from './support.js';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A program that trains into the folder of its first argument, and may die. */
export class KilledProgram {
  private readonly text: string;

  /** `entry` is bundled: a process of its own cannot read TypeScript. */
  constructor(entry: string) {
    this.text = buildSync({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      format: 'esm',
      write: false,
      conditions: ['@frugal/source'],
      banner: {
        js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
      },
    }).outputFiles[0].text;
  }

  /** Runs it until it ends, or until `isEnough` says so for its output: then it is killed. */
  async run(
    folder: string,
    args: readonly string[],
    isEnough: (lines: number) => boolean = () => false,
  ): Promise<{ readonly output: string; readonly wasKilled: boolean; readonly failed: boolean }> {
    const file = join(folder, 'training-process.mjs');
    if (!existsSync(file)) writeFileSync(file, this.text);
    const child = spawn(process.execPath, [file, folder, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    let output = '';
    child.stdout?.on('data', (text: Buffer) => {
      output += text;
      if (isEnough(output.split('\n').length - 1)) child.kill('SIGKILL');
    });
    await new Promise((resolve) => child.once('close', resolve));
    return { output, wasKilled: child.signalCode === 'SIGKILL', failed: (child.exitCode ?? 0) !== 0 };
  }

  /**
   * Kills and resumes until there were `kills` of them, after some events or in the middle of a save, which is every third
   * step. Each run that ends must have the outcome of one that was left alone.
   * @returns the folder of the last run, which has ended, and how often one was resumed
   */
  async expectSameOutcome(
    args: readonly string[],
    kills: number,
    outcome: (folder: string) => unknown,
  ): Promise<{ readonly folder: string; readonly resumes: number; readonly whole: string }> {
    const undisturbed = temporaryFolder();
    const { output: whole, failed } = await this.run(undisturbed, args);
    expect(failed).toBe(false);
    const expected = outcome(undisturbed);
    let folder = temporaryFolder();
    let random = 17;
    let resumes = 0;
    for (let killed = 0, round = 0; killed < kills; round++) {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      // Either inside of the next save, or after some events: then the kill hits whatever comes next.
      const inSave = round % 3 === 0;
      const events = 1 + ((random >>> 16) % 5);
      const dieAt = inSave ? [String(newestStep(folder) + 3)] : [];
      const run = await this.run(folder, [...args, ...dieAt], (lines) => !inSave && lines >= events);
      expect(run.failed).toBe(false);
      resumes += Number(run.output.startsWith('resume'));
      killed += Number(run.wasKilled);
      if (run.wasKilled) continue;
      expect(outcome(folder)).toEqual(expected);
      folder = temporaryFolder();
    }
    expect(await this.run(folder, args)).toMatchObject({ failed: false, wasKilled: false });
    expect(outcome(folder)).toEqual(expected);
    return { folder, resumes, whole };
  }
}

/** Step of the newest checkpoint, 0 without one. */
function newestStep(folder: string): number {
  const directory = join(folder, 'checkpoints');
  const names = existsSync(directory) ? readdirSync(directory) : [];
  return Math.max(0, ...names.map((name) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? 0)));
}
