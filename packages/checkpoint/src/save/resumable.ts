import { createHash } from 'node:crypto';
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { LayoutTensors } from '../container.js';
import { flushToDisk, writeFully } from '../disk.js';
import { pumpBytes, type TensorInput } from '../tensor-input.js';

export interface ResumableOptions {
  /** What the file is made from: a start that was made from something else is not gone on with. */
  readonly origin: string;
  /** Go on with what an interrupted call left. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Called after each tensor, also for those that were there already. */
  readonly onTensor?: (tensor: TensorInput, resumed: boolean) => void;
}

/** Bytes that may be written twice after an interruption. */
const JOURNAL_BYTES = 2 ** 27;

/**
 * Writes a file of tensors beside `path` as `path.partial`, with a journal of what is done, and renames it at the end:
 * a long conversion that was interrupted goes on where it was. Memory: one piece of one tensor.
 */
export async function writeResumable(
  path: string,
  tensors: readonly TensorInput[],
  layoutTensors: LayoutTensors,
  { origin, resume = false, signal, onTensor }: ResumableOptions,
): Promise<void> {
  const { header, offsets, byteLength } = layoutTensors(tensors);
  const partial = `${path}.partial`;
  const journal = `${partial}.json`;
  const identity = createHash('sha256').update(origin).update(header).digest('hex');
  const done = resume ? await readJournal(journal, identity) : 0;
  const handle = await open(partial, done > 0 ? 'r+' : 'w');
  let unsaved = 0;
  try {
    await handle.truncate(byteLength);
    await writeFully(handle, header, 0);
    for (const [index, tensor] of tensors.entries()) {
      signal?.throwIfAborted();
      if (index >= done) {
        const start = offsets.get(tensor.name) as number;
        await pumpBytes(tensor, async (bytes, position) => {
          await writeFully(handle, bytes, start + position);
          unsaved += bytes.byteLength;
        });
        if (unsaved >= JOURNAL_BYTES) {
          await handle.datasync(); // the journal must not be ahead of the data
          await writeFile(journal, JSON.stringify({ identity, done: index + 1 }));
          unsaved = 0;
        }
      }
      onTensor?.(tensor, index < done);
    }
  } finally {
    await handle.close();
  }
  await flushToDisk(partial, 'file');
  await rename(partial, path);
  await rm(journal, { force: true });
}

/** Tensors that are safely written; 0 when there is no journal, or one of another conversion. */
async function readJournal(path: string, identity: string): Promise<number> {
  try {
    const journal = JSON.parse(await readFile(path, 'utf8'));
    return journal.identity === identity && Number.isSafeInteger(journal.done) ? journal.done : 0;
  } catch {
    return 0;
  }
}
