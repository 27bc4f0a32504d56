import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile, openSafetensors, saveDirectory, type TensorInput, tensorInput } from '@frugal/checkpoint';
import type { Tokenizer } from '@frugal/tokenizers';
import { z } from 'zod';
import type { Document } from './documents.js';
import { DataError } from './errors.js';
import type { LineageCard } from './lineage.js';

const INDEX_FILE = 'dataset.json';

const indexSchema = z.strictObject({
  version: z.literal(1),
  /** Fingerprint of the tokenizer: tokens of another one are refused. */
  tokenizer: z.string(),
  vocabularySize: z.number().int().positive(),
  tokens: z.number().int().nonnegative(),
  documents: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  shards: z.array(
    z.strictObject({
      file: z.string(),
      sha256: z.string(),
      tokens: z.number().int(),
      documents: z.number().int(),
    }),
  ),
});

export type DatasetIndex = z.infer<typeof indexSchema>;

export interface PackOptions {
  /** Put before each document, e.g. the tokenizer's end-of-text token. */
  readonly separatorId: number;
  /** Tokens per shard. Default 16 M (64 MB). */
  readonly shardTokens?: number;
  readonly force?: boolean;
  /** Makes the card that goes into the folder, once the counts are known. */
  readonly lineage?: (index: DatasetIndex) => Promise<LineageCard>;
  readonly onProgress?: (event: { readonly documents: number; readonly tokens: number }) => void;
}

/** Ids of a document as it is packed: without BOS, for which the separator stands; and no text spells a special token. */
export function encodeDocument(tokenizer: Pick<Tokenizer, 'encode'>, text: string): Int32Array {
  return tokenizer.encode(text, { addSpecialTokens: false, parseSpecialTokens: false });
}

interface OpenShard {
  readonly tokens: Int32Array[];
  readonly starts: number[];
  length: number;
}

/**
 * Tokenizes documents and writes them, one after another, as shards: safetensors files with `tokens` i32 and
 * `documentStarts` i32, and an index with checksums. The folder appears whole or not at all.
 */
export async function packDocuments(
  documents: Iterable<Document> | AsyncIterable<Document>,
  tokenizer: Tokenizer,
  directory: string,
  options: PackOptions,
): Promise<DatasetIndex> {
  const { separatorId, shardTokens = 2 ** 24, force = false, onProgress } = options;
  requireId(separatorId, tokenizer.vocabularySize);
  const totals = { tokens: 0, documents: 0, bytes: 0 };
  const shards: DatasetIndex['shards'] = [];
  let index: DatasetIndex | undefined;
  await saveDirectory(
    directory,
    async (staging) => {
      let open: OpenShard = { tokens: [], starts: [], length: 0 };
      const flush = async () => {
        if (open.length === 0) return;
        const file = `shard-${String(shards.length).padStart(5, '0')}.safetensors`;
        await staging.writeTensors(file, shardTensors(open), {
          metadata: { tokenizer: tokenizer.fingerprint },
        });
        const sha256 = await hashFile(join(staging.path, file));
        shards.push({ file, sha256, tokens: open.length, documents: open.starts.length });
        open = { tokens: [], starts: [], length: 0 };
      };
      for await (const { id, text } of documents) {
        if (!text.isWellFormed()) {
          throw new DataError({
            file: id,
            what: 'the text is not valid Unicode',
            got: 'a lone surrogate',
            hint: 'Clean it with text.toWellFormed().',
          });
        }
        const ids = encodeDocument(tokenizer, text);
        open.starts.push(open.length);
        open.tokens.push(Int32Array.of(separatorId), ids);
        open.length += ids.length + 1;
        totals.tokens += ids.length + 1;
        totals.documents++;
        totals.bytes += Buffer.byteLength(text);
        onProgress?.(totals);
        if (open.length >= shardTokens) await flush();
      }
      await flush();
      index = {
        version: 1,
        tokenizer: tokenizer.fingerprint,
        vocabularySize: tokenizer.vocabularySize,
        ...totals,
        shards,
      };
      if (options.lineage) await staging.writeJson('lineage.json', await options.lineage(index));
      await staging.writeJson(INDEX_FILE, index);
    },
    { replace: force },
  );
  return index as DatasetIndex;
}

/** A tokenizer without end-of-text token has no id to give: undefined would become token 0. */
function requireId(separatorId: number, vocabularySize: number): void {
  if (Number.isInteger(separatorId) && separatorId >= 0 && separatorId < vocabularySize) return;
  throw new DataError({
    file: 'packDocuments',
    what: 'separatorId is no token',
    got: String(separatorId),
    expected: `0 to ${vocabularySize - 1}`,
  });
}

function shardTensors({ tokens, starts, length }: OpenShard): TensorInput[] {
  const flat = new Int32Array(length);
  let at = 0;
  for (const piece of tokens) {
    flat.set(piece, at);
    at += piece.length;
  }
  return [
    tensorInput('tokens', 'I32', [length], flat),
    tensorInput('documentStarts', 'I32', [starts.length], Int32Array.from(starts)),
  ];
}

/** Tokens of a packed data set, in memory. */
export interface TokenDataset {
  readonly index: DatasetIndex;
  readonly tokens: Int32Array;
  /** Position of each document's separator. */
  readonly documentStarts: Int32Array;
}

/**
 * Reads a packed data set and checks it.
 * @throws DataError with file and offset for a missing, truncated or altered shard, another tokenizer, or bad ids
 */
export async function openDataset(
  directory: string,
  { tokenizer }: { readonly tokenizer?: Tokenizer } = {},
): Promise<TokenDataset> {
  const index = await readIndex(directory);
  if (tokenizer && tokenizer.fingerprint !== index.tokenizer) {
    throw new DataError({
      file: join(directory, INDEX_FILE),
      what: 'the data was tokenized by another tokenizer',
      got: index.tokenizer,
      expected: tokenizer.fingerprint,
      hint: 'Pack the documents again with this tokenizer.',
    });
  }
  const tokens = new Int32Array(index.tokens);
  const starts = new Int32Array(index.documents);
  let at = 0;
  let document = 0;
  for (const shard of index.shards) {
    const part = await readShard(directory, shard, index.vocabularySize);
    starts.set(
      part.documentStarts.map((start) => start + at),
      document,
    );
    tokens.set(part.tokens, at);
    at += part.tokens.length;
    document += part.documentStarts.length;
  }
  return { index, tokens, documentStarts: starts };
}

async function readIndex(directory: string): Promise<DatasetIndex> {
  const file = join(directory, INDEX_FILE);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      const hint = 'Write a packed data set there first.';
      throw new DataError({ file, what: 'there is no such file', hint, cause });
    }
    throw new DataError({ file, what: 'cannot be read as JSON', got: (cause as Error).message, cause });
  }
  const parsed = indexSchema.safeParse(json);
  if (parsed.success && isWhole(parsed.data)) return parsed.data;
  throw new DataError({
    file,
    what: 'is not the index of a packed data set',
    got: parsed.success ? 'totals that are not those of the shards' : z.prettifyError(parsed.error),
  });
}

function isWhole({ tokens, documents, shards }: DatasetIndex): boolean {
  const total = (name: 'tokens' | 'documents') => shards.reduce((sum, shard) => sum + shard[name], 0);
  return total('tokens') === tokens && total('documents') === documents;
}

async function readShard(directory: string, shard: DatasetIndex['shards'][number], vocabularySize: number) {
  const file = join(directory, shard.file);
  const source = await openSafetensors(file);
  try {
    const sha256 = await hashFile(file);
    if (sha256 !== shard.sha256) {
      throw new DataError({
        file,
        what: 'the shard was altered',
        got: `sha256 ${sha256}`,
        expected: shard.sha256,
        hint: 'Pack the documents again.',
      });
    }
    const read = async (name: string) => {
      const bytes = await source.read(name);
      return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    };
    const tokens = await read('tokens');
    const bad = tokens.findIndex((id) => id < 0 || id >= vocabularySize);
    if (bad >= 0) {
      throw new DataError({
        file,
        offset: bad,
        what: 'token id out of range',
        got: String(tokens[bad]),
        expected: `0 to ${vocabularySize - 1}`,
      });
    }
    return { tokens, documentStarts: await read('documentStarts') };
  } finally {
    await source.close();
  }
}
