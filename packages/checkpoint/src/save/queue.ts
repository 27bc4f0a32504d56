import { resolve } from 'node:path';
import { type SavePlace, savePlace } from './place.js';

/**
 * Runs saves to one path one after the other, in the order in which they were called, so that the last one called is
 * the one that stays. Different paths that lead to one place through links take turns too.
 */
export function saveInTurn(path: string, save: (place: SavePlace) => Promise<void>): Promise<void> {
  return oneAfterTheOther(`path ${resolve(path)}`, async () => {
    const place = await savePlace(path);
    await oneAfterTheOther(`place ${place.target}`, () => save(place));
  });
}

const queues = new Map<string, Promise<void>>();

/** Runs tasks with the same key one after the other, whether the one before failed or not. */
async function oneAfterTheOther(key: string, task: () => Promise<void>): Promise<void> {
  const before = queues.get(key) ?? Promise.resolve();
  const mine = before.then(task, task);
  queues.set(key, mine);
  try {
    await mine;
  } finally {
    if (queues.get(key) === mine) queues.delete(key);
  }
}
