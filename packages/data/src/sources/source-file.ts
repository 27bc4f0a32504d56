import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { DataError } from '../errors.js';
import { readZip } from './zip.js';
import { decompressZstandard } from './zstandard.js';

/** What a file holds, by the end of its name. */
export type SourceKind = 'json-lines' | 'json' | 'csv' | 'parquet' | 'text';

/** A file, or a file inside an archive, with its compression undone. */
export interface SourceFile {
  /** For messages: the path, and for members of archives `books.zip:chapter.txt`. */
  readonly place: string;
  readonly kind: SourceKind;
  /** Between cells of CSV. */
  readonly delimiter: ',' | '\t';
  /** The path of the file when nothing has to be undone. */
  readonly path?: string;
  open(): AsyncIterable<Buffer>;
}

const KINDS: readonly (readonly [RegExp, SourceKind])[] = [
  [/\.(jsonl|ndjson)$/i, 'json-lines'],
  [/\.json$/i, 'json'],
  [/\.(csv|tsv)$/i, 'csv'],
  [/\.parquet$/i, 'parquet'],
];

const COMPRESSED = /\.(gz|gzip|zst|zstd)$/i;

/** What files with a name hold, whatever compresses them. */
export function sourceKind(name: string): SourceKind {
  const bare = name.replace(COMPRESSED, '');
  return KINDS.find(([pattern]) => pattern.test(bare))?.[1] ?? 'text';
}

/**
 * The file at `path`, or those in it if it is a `.zip`: in the order of the archive, folders and what macOS adds left out.
 * @throws DataError when an archive cannot be read
 */
export async function* openSource(path: string): AsyncGenerator<SourceFile> {
  if (!/\.zip$/i.test(path)) return yield sourceFile(path, path, () => readFileBytes(path), path);
  for await (const { name, open } of readZip(path)) yield sourceFile(`${path}:${name}`, name, open);
}

function sourceFile(
  place: string,
  name: string,
  open: () => AsyncIterable<Buffer>,
  path?: string,
): SourceFile {
  const compression = COMPRESSED.exec(name)?.[1].toLowerCase();
  return {
    place,
    kind: sourceKind(name),
    delimiter: /\.tsv(\.|$)/i.test(name) ? '\t' : ',',
    ...(path !== undefined && compression === undefined && { path }),
    open: compression === undefined ? open : () => decompress(open(), compression.slice(0, 1), place),
  };
}

async function* decompress(
  bytes: AsyncIterable<Buffer>,
  kind: string,
  place: string,
): AsyncGenerator<Buffer> {
  try {
    if (kind === 'z') yield* decompressZstandard(bytes);
    else yield* gunzip(bytes);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError({
      file: place,
      what: 'the compressed data are damaged or cut off',
      got: (cause as Error).message,
      cause,
    });
  }
}

async function* gunzip(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const stream = createGunzip();
  const written = writeAll(bytes, stream);
  written.catch((error) => stream.destroy(error as Error));
  for await (const chunk of stream) yield chunk as Buffer;
  await written;
}

async function writeAll(bytes: AsyncIterable<Buffer>, stream: ReturnType<typeof createGunzip>) {
  for await (const chunk of bytes) {
    if (stream.destroyed) return;
    if (!stream.write(chunk))
      await new Promise((resolve) => stream.once('drain', resolve).once('close', resolve));
  }
  stream.end();
}

async function* readFileBytes(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 18 })) yield chunk as Buffer;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    if (code === 'ENOENT') throw new DataError({ file: path, what: 'there is no such file', cause });
    throw new DataError({ file: path, what: 'the file cannot be read', got: code, cause });
  }
}
