import { type FileHandle, open } from 'node:fs/promises';
import { codeOf } from './errors.js';

/** One write call moves at most this much. */
const WRITE_LIMIT = 2 ** 28;

/** Writes all of `bytes` at `position`; one call may write less than it was given. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(WRITE_LIMIT, bytes.byteLength - done);
    const { bytesWritten } = await handle.write(bytes, done, length, position + done);
    done += bytesWritten;
  }
}

/** Flushes a file or folder to the disk. Folders cannot be flushed on every system: then there is nothing to do. */
export async function flushToDisk(path: string, kind: 'file' | 'folder'): Promise<void> {
  try {
    const handle = await open(path, kind === 'file' ? 'r+' : 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const unsupported =
      kind === 'folder' && ['EISDIR', 'EPERM', 'EINVAL', 'EACCES'].includes(codeOf(error) ?? '');
    if (!unsupported) throw error;
  }
}
