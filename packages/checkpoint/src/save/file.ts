import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { flushToDisk } from '../disk.js';
import { explain } from './errors.js';
import { removeLeftovers, type SavePlace } from './place.js';
import { saveInTurn } from './queue.js';

/**
 * Saves one file as a whole: a hidden file beside `path`, with this content or filled by a function that gets its
 * path, replaces `path` in one step. Throws CheckpointWriteError when the disk refuses; errors of the function itself
 * pass through.
 */
export async function saveFile(
  path: string,
  content: string | Uint8Array | ((temporary: string) => Promise<void>),
): Promise<void> {
  const write =
    typeof content === 'function' ? content : (temporary: string) => writeFile(temporary, content);
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
