import { type FileHandle, open } from 'node:fs/promises';
import type { ByteSource } from './byte-source.js';
import { checkRange } from './byte-source.js';
import { CheckpointFormatError, CheckpointNotFoundError, codeOf } from './errors.js';

/** One read call moves at most this much: Linux cuts at 2 GiB, and libuv refuses more. */
const READ_LIMIT = 2 ** 28;

/** Opens a file for ranged reads. Reads may run at the same time; the position of the handle is never used. */
export async function openFileSource(path: string): Promise<ByteSource> {
  const handle = await openForReading(path);
  try {
    const { size } = await handle.stat();
    return {
      name: path,
      size,
      async readInto(target, offset) {
        checkRange(path, size, offset, target.byteLength);
        await readFully(handle, path, target, offset);
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    const handle = await open(path, 'r');
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw cause;
    throw new CheckpointNotFoundError({ where: path, what: 'no such file', cause });
  }
  throw new CheckpointFormatError({ file: path, what: 'not a regular file' });
}

async function readFully(
  handle: FileHandle,
  path: string,
  target: Uint8Array,
  offset: number,
): Promise<void> {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(READ_LIMIT, target.byteLength - done);
    const { bytesRead } = await handle.read(target, done, length, offset + done);
    if (bytesRead === 0) {
      throw new CheckpointFormatError({
        file: path,
        offset: offset + done,
        what: 'the file ended while it was being read',
        expected: `${target.byteLength - done} more bytes`,
        hint: 'Another program shortened it: fetch or save it again.',
      });
    }
    done += bytesRead;
  }
}
