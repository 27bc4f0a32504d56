import { openPromise, type ZipFile } from 'yauzl';
import { DataError } from '../errors.js';

export interface ZipMember {
  readonly name: string;
  /** Its bytes; to be read before the next member is asked for. */
  open(): AsyncIterable<Buffer>;
}

/** What archivers add beside the files themselves. */
const EXTRAS = /(^|\/)(__MACOSX\/|\.DS_Store$|Thumbs\.db$)|\/$/;

/** The files of an archive, in its order. @throws DataError for what is no archive, is damaged or encrypted */
export async function* readZip(path: string): AsyncGenerator<ZipMember> {
  const archive = await guarded(path, () => openPromise(path, { lazyEntries: true, autoClose: false }));
  try {
    for await (const entry of entriesOf(archive, path)) {
      if (EXTRAS.test(entry.fileName)) continue;
      const place = `${path}:${entry.fileName}`;
      if (entry.isEncrypted())
        throw new DataError({
          file: place,
          what: 'the file is encrypted',
          hint: 'Unpack the archive first.',
        });
      yield { name: entry.fileName, open: () => readEntry(archive, entry, place) };
    }
  } finally {
    archive.close();
  }
}

async function* entriesOf(archive: ZipFile, path: string) {
  try {
    yield* archive.eachEntry();
  } catch (cause) {
    throw damaged(path, cause);
  }
}

async function* readEntry(
  archive: ZipFile,
  entry: Parameters<ZipFile['openReadStreamPromise']>[0],
  place: string,
): AsyncGenerator<Buffer> {
  const stream = await guarded(place, () => archive.openReadStreamPromise(entry));
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (cause) {
    throw damaged(place, cause);
  }
}

async function guarded<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new DataError({ file: place, what: 'there is no such file', cause });
    throw damaged(place, cause);
  }
}

function damaged(place: string, cause: unknown): DataError {
  return new DataError({
    file: place,
    what: 'this is no zip archive, or a damaged one',
    got: (cause as Error).message,
    cause,
  });
}
