import { lstat, readdir, readlink, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CheckpointWriteError, codeOf } from '../errors.js';
import { isAlive, OWNER_PATTERN, ownerTag } from './owner.js';

/*
 * A folder cannot be replaced by another in one step, so a save takes three renames, all of them beside the folder:
 *
 *   1. NAME            → .NAME.previous          the old version steps aside
 *   2. .NAME.saving-…  → NAME                    the new version, complete and flushed, takes its place
 *   3. .NAME.previous  → .NAME.removing-…        the old version is given up, then deleted
 *
 * Whatever is called NAME or .NAME.previous is therefore a whole checkpoint at every instant. Only a crash between
 * 1 and 2 leaves no NAME: then the next reader or writer renames .NAME.previous back.
 */

/** Names around the folder that is saved. */
export interface SavePlace {
  readonly target: string;
  readonly parent: string;
  readonly previous: string;
  /** A fresh name for a folder to fill. */
  readonly staging: () => string;
  /** A fresh name for a folder to delete. */
  readonly removing: () => string;
}

/** Names around `path`; links are followed, so that the folder is replaced where it really is. */
export async function savePlace(path: string): Promise<SavePlace> {
  const target = await followLinks(resolve(path));
  const parent = dirname(target);
  const hidden = join(parent, `.${basename(target)}`);
  return {
    target,
    parent,
    previous: `${hidden}.previous`,
    staging: () => `${hidden}.saving-${ownerTag()}`,
    removing: () => `${hidden}.removing-${ownerTag()}`,
  };
}

/**
 * The folder to read for `path`: normally `path` itself. After a crash in the middle of a save the previous version
 * is put back first; where that is impossible (read-only disk), it is read where it lies.
 * Returns undefined when there is nothing at `path`.
 */
export async function resolveDirectory(path: string): Promise<string | undefined> {
  const place = await savePlace(path);
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    if (await exists(place.target)) return path;
    if (!(await exists(place.previous))) return (await exists(place.target)) ? path : undefined;
    // A living writer is between two renames: it will be through in an instant.
    if ((await findWriters(place)).length > 0) await sleep(5);
    else if (!(await putBack(place))) break;
  }
  return (await exists(place.target)) ? path : place.previous;
}

/** Renames the previous version back when a crash left none at the target. Returns whether the target exists. */
export async function putBack({ target, previous }: SavePlace): Promise<boolean> {
  if (await exists(target)) return true;
  await rename(previous, target).catch(() => {});
  return exists(target);
}

/** Deletes what dead processes left around the place. `mine` is the folder that this save fills. */
export async function removeLeftovers(place: SavePlace, mine: string): Promise<void> {
  if ((await exists(place.previous)) && (await exists(place.target))) {
    await rename(place.previous, place.removing());
  }
  for (const { path, pid, alive } of await listTemporary(place)) {
    if (path === mine) continue;
    const dead =
      alive === false || pid === process.pid || (alive === undefined && (await idleHours(path)) > 1);
    if (dead) await rm(path, { recursive: true, force: true });
  }
}

/** Throws {@link CheckpointWriteError} when another living process is saving to the same place. */
export async function refuseOthers(place: SavePlace): Promise<void> {
  const other = (await findWriters(place)).find(({ pid }) => pid !== process.pid);
  if (!other) return;
  throw new CheckpointWriteError({
    where: place.target,
    what: `process ${other.pid} is saving to the same place`,
    hint: `Wait for it, or choose another folder. If there is no such save, delete ${other.path}.`,
  });
}

/** Whether anything is at `path`, a broken link included. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

const READ_ATTEMPTS = 40;

interface TemporaryEntry {
  readonly path: string;
  readonly saving: boolean;
  readonly pid: number;
  readonly alive: boolean | undefined;
}

async function findWriters(place: SavePlace): Promise<TemporaryEntry[]> {
  const entries = await listTemporary(place);
  return entries.filter(({ saving, alive }) => saving && alive === true);
}

async function listTemporary({ target, parent }: SavePlace): Promise<TemporaryEntry[]> {
  const escaped = basename(target).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = new RegExp(`^\\.${escaped}\\.(saving|removing)-${OWNER_PATTERN}(\\.spool)?$`);
  const entries: TemporaryEntry[] = [];
  for (const name of await readdir(parent)) {
    const match = pattern.exec(name);
    if (!match) continue;
    const [, kind, host, pid, started] = match;
    const alive = isAlive({ host, pid: Number(pid), started });
    entries.push({ path: join(parent, name), saving: kind === 'saving', pid: Number(pid), alive });
  }
  return entries;
}

/** Hours since anything directly inside changed. */
async function idleHours(path: string): Promise<number> {
  const names = await readdir(path).catch(() => []);
  const times = await Promise.all(
    [path, ...names.map((name) => join(path, name))].map((file) =>
      stat(file).then(
        (info) => info.mtimeMs,
        () => 0,
      ),
    ),
  );
  return (Date.now() - Math.max(...times)) / 3_600_000;
}

/** Where a chain of symbolic links ends; the end need not exist. */
async function followLinks(path: string): Promise<string> {
  let current = path;
  for (let hops = 0; hops < 40; hops++) {
    const link = await readlink(current).catch(() => undefined);
    if (link === undefined) return current;
    current = resolve(dirname(current), link);
  }
  throw new CheckpointWriteError({ where: path, what: 'symbolic links lead in a circle' });
}
