import { mkdir, rename, rm } from 'node:fs/promises';
import { flushToDisk } from '../disk.js';
import { explain } from './errors.js';
import { removeLeftovers, type SavePlace } from './place.js';
import { saveInTurn } from './queue.js';

/**
 * Saves one file as a whole: `write` fills a hidden file beside `path`, which then replaces `path` in one step.
 * Throws CheckpointWriteError when the disk refuses; errors of `write` itself pass through.
 */
export async function saveFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  await saveInTurn(path, (place) => save(place, write));
}

async function save(place: SavePlace, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = place.staging();
  try {
    await mkdir(place.parent, { recursive: true });
    await removeLeftovers(place, temporary);
    await write(temporary);
    await flushToDisk(temporary, 'file');
    await rename(temporary, place.target);
    await flushToDisk(place.parent, 'folder');
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw await explain(error, place);
  }
}
