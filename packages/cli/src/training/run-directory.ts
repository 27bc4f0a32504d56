import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from '../errors.js';
import { exists, refuseExisting } from '../files.js';

export interface RunOptions {
  readonly force?: boolean;
  readonly resume?: boolean;
}

/** Where a training keeps what it needs to go on, beside the model that it will write: `OUT.training`. */
export interface RunDirectory {
  readonly checkpoints: string;
  readonly log: string;
  /** Charts of the log. */
  readonly page: string;
}

/** Where the run directory of `out` is, or would be. */
export function runDirectoryOf(out: string): RunDirectory {
  const folder = `${out}.training`;
  return {
    checkpoints: join(folder, 'checkpoints'),
    log: join(folder, 'log.jsonl'),
    page: join(folder, 'log.html'),
  };
}

/**
 * Makes a run directory for `out`. A run is resumed with the settings that it was started with.
 * @throws CommandError when the result or another run is in the way, or the settings changed
 */
export async function openRunDirectory(
  out: string,
  settings: unknown,
  { force, resume }: RunOptions,
): Promise<RunDirectory> {
  await refuseExisting(out, force);
  const folder = `${out}.training`;
  const run = runDirectoryOf(out);
  if (await exists(run.checkpoints)) {
    if (resume) {
      await requireSameSettings(out, settings);
      return run;
    }
    if (!force) {
      throw new CommandError({
        where: folder,
        what: 'an earlier run was not finished',
        hint: 'Go on with --resume, or start again with --force.',
      });
    }
  }
  await rm(run.checkpoints, { recursive: true, force: true });
  await rm(run.log, { force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(settingsFile(out), textOf(settings));
  return run;
}

/** Takes the checkpoints away once the model is saved; settings and log stay. */
export async function finishRun(run: RunDirectory): Promise<void> {
  await rm(run.checkpoints, { recursive: true, force: true });
}

const settingsFile = (out: string): string => join(`${out}.training`, 'settings.json');
const textOf = (settings: unknown): string => `${JSON.stringify(settings, null, 2)}\n`;

/** @throws CommandError when the run on the way to `out` was started with other settings */
export async function requireSameSettings(out: string, settings: unknown): Promise<void> {
  const [file, text] = [settingsFile(out), textOf(settings)];
  const before = (await readFile(file, 'utf8')).split('\n');
  const line = text.split('\n').findIndex((now, i) => now !== before[i]);
  if (line < 0) return;
  throw new CommandError({
    where: file,
    what: 'the run was started with other settings',
    got: text.split('\n')[line].trim(),
    expected: before[line]?.trim() ?? 'nothing',
    hint: 'Resume with the same settings, or start again with --force.',
  });
}
