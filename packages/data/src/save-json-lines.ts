import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { saveFile } from '@frugal/checkpoint';

/** Writes a value as a line of JSON; await it before the next. */
export type WriteLine = (value: unknown) => Promise<void>;

/**
 * Writes a file of JSON lines, one after another and never all in memory; it appears whole or not at all.
 * @throws CheckpointWriteError when the disk refuses; errors of `fill` pass through
 */
export async function saveJsonLines(path: string, fill: (write: WriteLine) => Promise<void>): Promise<void> {
  await saveFile(path, async (temporary) => {
    const stream = createWriteStream(temporary);
    const ended = finished(stream); // rejects as soon as the disk refuses, also between two lines
    ended.catch(() => {});
    try {
      await fill(async (value) => {
        if (!stream.write(`${JSON.stringify(value)}\n`)) await Promise.race([once(stream, 'drain'), ended]);
      });
    } finally {
      stream.end();
    }
    await ended;
  });
}
