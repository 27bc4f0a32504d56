import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { flushToDisk } from '../disk.js';
import { CheckpointExistsError, codeOf } from '../errors.js';
import { explain } from './errors.js';
import { exists, putBack, refuseOthers, removeLeftovers, type SavePlace } from './place.js';
import { saveInTurn } from './queue.js';
import { type StagingDirectory, stagingDirectory } from './staging.js';

/** The instants of a save, in order. A process may die at each of them: the tests do. */
export type SaveStep =
  | 'staging'
  | 'written'
  | 'flushed'
  | 'old-aside'
  | 'new-in-place'
  | 'old-given-up'
  | 'done';

export interface SaveOptions {
  /** Whether a checkpoint that is already there may be replaced. Default: true. */
  readonly replace?: boolean;
  /**
   * Names of files of which at least one must be in a folder that is replaced (`*.safetensors` means any): protects
   * the home folder behind a mistyped path. Default: the usual files of a checkpoint.
   */
  readonly replaceable?: readonly string[];
  /** Flush to the disk, so that a power cut is survived too, not only the end of the process. Default: true. */
  readonly durable?: boolean;
  /** Called at each step. */
  readonly onStep?: (step: SaveStep) => void;
}

/** Files by which a folder is known to be a checkpoint. */
const CHECKPOINT_FILES = ['config.json', 'frugal.json', 'adapter_config.json', '*.safetensors', '*.gguf'];

/**
 * Saves a folder as a whole: `write` fills a hidden folder beside `path`, which then takes the place of what was at
 * `path`. A process killed at any moment, a full disk or an error in `write` leaves the old version whole, and
 * `openCheckpoint` finds it; what the dead process left is deleted by the next save to the same path. Needs room
 * for both versions. Saves to one path from one process run one after the other.
 *
 * Throws {@link CheckpointExistsError} when `path` may not be replaced, {@link CheckpointWriteError} when the disk
 * refuses; errors of `write` itself pass through.
 */
export async function saveDirectory(
  path: string,
  write: (staging: StagingDirectory) => Promise<void>,
  options: SaveOptions = {},
): Promise<void> {
  await saveInTurn(path, async (place) => {
    try {
      await save(place, write, options);
    } catch (error) {
      throw await explain(error, place);
    }
  });
}

/** Throws {@link CheckpointExistsError} unless what is at `where` may be replaced. */
async function checkReplaceable(where: string, options: SaveOptions): Promise<void> {
  const { replace = true, replaceable = CHECKPOINT_FILES } = options;
  if (!(await exists(where))) return;
  if (!(await lstat(where)).isDirectory()) {
    throw new CheckpointExistsError({
      where,
      what: 'there is a file in the way',
      expected: 'a folder or nothing',
    });
  }
  const names = await readdir(where);
  if (names.length === 0) return;
  if (!replace) {
    const hint = 'Choose another folder, or allow to replace it (force).';
    throw new CheckpointExistsError({ where, what: 'the folder exists already', hint });
  }
  const known = (name: string) =>
    replaceable.some((mark) => name === mark || (mark[0] === '*' && name.endsWith(mark.slice(1))));
  if (names.includes('.git') || !names.some(known)) {
    throw new CheckpointExistsError({
      where,
      what: 'the folder does not look like a saved checkpoint and is not replaced',
      got: `${names.length} entries such as ${names.slice(0, 3).join(', ')}`,
      expected: `one of ${replaceable.join(', ')}, and no .git`,
      hint: 'Choose another folder, or delete this one yourself.',
    });
  }
}

async function save(
  place: SavePlace,
  write: (staging: StagingDirectory) => Promise<void>,
  options: SaveOptions,
): Promise<void> {
  const { durable = true, onStep = () => {} } = options;
  await mkdir(place.parent, { recursive: true });
  const staging = place.staging();
  await mkdir(staging); // first, so that of two processes at least one sees the other
  try {
    await refuseOthers(place);
    await putBack(place);
    await removeLeftovers(place, staging);
    await checkReplaceable(place.target, options);
    onStep('staging');
    await write(stagingDirectory(staging));
    onStep('written');
    if (durable) await flushTree(staging);
    onStep('flushed');
    await swap(place, staging, options);
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  if (durable) await flushToDisk(place.parent, 'folder');
  await giveUpOld(place, onStep);
  onStep('done');
}

/** Renames 1 and 2. An error puts everything back as it was. */
async function swap(
  place: SavePlace,
  staging: string,
  { replace = true, onStep = () => {} }: SaveOptions,
): Promise<void> {
  const { target, previous } = place;
  if (replace && (await exists(target))) {
    await rename(target, previous);
    onStep('old-aside');
  }
  try {
    await rename(staging, target);
  } catch (error) {
    await putBack(place);
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
    throw new CheckpointExistsError({
      where: target,
      what: 'another program made this folder in the meantime',
    });
  }
  onStep('new-in-place');
}

/** Rename 3 and the deletion. The new version is in place: a problem here is left to the next save. */
async function giveUpOld(place: SavePlace, onStep: (step: SaveStep) => void): Promise<void> {
  if (!(await exists(place.previous))) return;
  const old = place.removing();
  try {
    await rename(place.previous, old);
    onStep('old-given-up');
    await rm(old, { recursive: true, force: true });
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
  }
}

async function flushTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await flushTree(path);
    else if (entry.isFile()) await flushToDisk(path, 'file');
  }
  await flushToDisk(folder, 'folder');
}
