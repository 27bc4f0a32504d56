import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { saveFile } from '@frugal/checkpoint';
import { z } from 'zod';

const MAGIC = 'frugal teacher 1';
const HASH_BYTES = 32;
const LENGTH_AT = MAGIC.length + HASH_BYTES;
const HEADER_AT = LENGTH_AT + 4;
const LARGEST_HEADER = 2 ** 26;

const entrySchema = z.strictObject({
  key: z.string(),
  tokens: z.number().int().positive(),
  /** From the end of the header. */
  offset: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  sha256: z.string(),
});

const headerSchema = z.strictObject({ entries: z.array(entrySchema) });

/** Where the distributions of one sequence lie in a block. */
export type BlockEntry = z.infer<typeof entrySchema>;

export interface BlockContent {
  readonly key: string;
  readonly tokens: number;
  readonly bytes: Uint8Array;
}

/** Entries of a block, and where the first one begins. */
export interface BlockIndex {
  readonly entries: readonly BlockEntry[];
  readonly dataStart: number;
}

/**
 * Writes a block whole or not at all: a name, SHA-256 of the header, its length, the header as JSON with a checksum for each
 * entry, then the entries.
 */
export async function writeBlock(path: string, contents: readonly BlockContent[]): Promise<number> {
  let offset = 0;
  const entries = contents.map(({ key, tokens, bytes }): BlockEntry => {
    const entry = { key, tokens, offset, bytes: bytes.length, sha256: hash(bytes).toString('hex') };
    offset += bytes.length;
    return entry;
  });
  const header = Buffer.from(JSON.stringify({ entries }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const parts = [Buffer.from(MAGIC), hash(header), length, header, ...contents.map(({ bytes }) => bytes)];
  const file = Buffer.concat(parts);
  await saveFile(path, file);
  return file.length;
}

/** The header of a block; null when it is damaged or no block. */
export async function readBlockIndex(path: string): Promise<BlockIndex | null> {
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    const start = await readAt(file, 0, Math.min(HEADER_AT, size));
    if (start.length < HEADER_AT || start.toString('latin1', 0, MAGIC.length) !== MAGIC) return null;
    const length = start.readUInt32LE(LENGTH_AT);
    if (length > LARGEST_HEADER || HEADER_AT + length > size) return null;
    const header = await readAt(file, HEADER_AT, length);
    if (!hash(header).equals(start.subarray(MAGIC.length, LENGTH_AT))) return null;
    const parsed = headerSchema.safeParse(JSON.parse(header.toString()));
    return parsed.success ? { entries: parsed.data.entries, dataStart: HEADER_AT + length } : null;
  });
}

/** The bytes of some entries; null for one that is damaged. */
export async function readEntries(
  path: string,
  dataStart: number,
  entries: readonly BlockEntry[],
): Promise<(Uint8Array | null)[]> {
  return withFile(path, async (file) => {
    const found: (Uint8Array | null)[] = [];
    for (const { offset, bytes: length, sha256 } of entries) {
      const bytes = await readAt(file, dataStart + offset, length);
      found.push(bytes.length === length && hash(bytes).toString('hex') === sha256 ? bytes : null);
    }
    return found;
  });
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

function hash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
