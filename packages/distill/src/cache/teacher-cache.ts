import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { saveFile } from '@frugal/checkpoint';
import type { StoredDistributions } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { type BlockEntry, readBlockIndex, readEntries, writeBlock } from './block-file.js';
import { TeacherCacheError } from './errors.js';
import { decodeLogs, encodeLogs } from './stored-logs.js';

const SETTINGS_FILE = 'cache.json';
const BLOCK = /^block-[0-9a-f]{16}\.bin$/;

const settingsSchema = z.strictObject({
  version: z.literal(1),
  /** What tells the teacher from others: a fingerprint of its weights, or the endpoint and model. */
  teacher: z.string(),
  /** Fingerprint of the tokenizer. */
  tokenizer: z.string(),
  /** Likeliest tokens that are kept of each distribution. */
  topK: z.number().int().positive(),
  /** That softened the distributions before they were cut. */
  temperature: z.number().positive(),
});

/** What everything in a cache has in common. */
export type CacheSettings = Omit<z.infer<typeof settingsSchema>, 'version'>;

/** Says what the teacher predicts after each token of each sequence. May be called again before it has answered. */
export type TeacherSource = (sequences: readonly Int32Array[]) => Promise<readonly StoredDistributions[]>;

export interface FillOptions {
  /** Requests to the source at a time. Default 1; more for an endpoint. */
  readonly concurrency?: number;
  /** Sequences per request, and per block file. Default 16. */
  readonly sequencesPerBlock?: number;
  /** Fill only sequence i, i + count, …: several processes share the work on one folder. */
  readonly part?: { readonly index: number; readonly count: number };
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: { readonly done: number; readonly total: number }) => void;
}

export interface Filled {
  /** Sequences that were asked of the teacher now. */
  readonly sequences: number;
  readonly tokens: number;
  /** Blocks that were damaged, and have been made again. */
  readonly damaged: number;
}

interface Place {
  readonly file: string;
  readonly dataStart: number;
  readonly entry: BlockEntry;
}

/**
 * What a teacher predicts, on disk: of each token of each sequence the likeliest next tokens and the rest as one number.
 * Sequences are found by their tokens alone, so whatever yields the same sequences again can train from it.
 */
export class TeacherCache {
  private readonly places = new Map<string, Place>();

  private constructor(
    readonly directory: string,
    readonly settings: CacheSettings,
  ) {}

  /** Opens a cache, or begins one. @throws TeacherCacheError when it was made with other settings */
  static async open(directory: string, settings: CacheSettings): Promise<TeacherCache> {
    await mkdir(directory, { recursive: true });
    const file = join(directory, SETTINGS_FILE);
    const own = { version: 1, ...settings };
    const found = await readSettings(file);
    if (found) requireSame(file, found, own);
    else await saveFile(file, `${JSON.stringify(own, null, 2)}\n`);
    const cache = new TeacherCache(directory, settings);
    await cache.index();
    return cache;
  }

  /** Sequences that it holds. */
  get size(): number {
    return this.places.size;
  }

  has(sequence: Int32Array): boolean {
    return this.places.has(keyOf(sequence));
  }

  /**
   * Asks the teacher for what is missing. Blocks are checked whole first, and damaged ones made again; each is written as
   * soon as it is there, so that an interrupted run goes on where it was.
   */
  async fill(
    sequences: Iterable<Int32Array>,
    source: TeacherSource,
    options: FillOptions = {},
  ): Promise<Filled> {
    const { concurrency = 1, sequencesPerBlock = 16, part, signal, onProgress } = options;
    const damaged = await this.dropDamaged();
    const wanted = new Map([...sequences].map((sequence) => [keyOf(sequence), sequence]));
    const own = [...wanted].filter((_, i) => !part || i % part.count === part.index);
    const missing = own.filter(([key]) => !this.places.has(key)).map(([, sequence]) => sequence);
    const total = own.length;
    let done = total - missing.length;
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < missing.length) {
        signal?.throwIfAborted();
        const group = missing.slice(next, next + sequencesPerBlock);
        next += group.length;
        await this.add(group, await source(group));
        done += group.length;
        onProgress?.({ done, total });
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: concurrency }, work));
    const failed = workers.find((worker) => worker.status === 'rejected');
    if (failed) throw failed.reason;
    const tokens = missing.reduce((sum, { length }) => sum + length, 0);
    return { sequences: missing.length, tokens, damaged };
  }

  /** What the teacher predicts after each token, of all sequences in a row. @throws TeacherCacheError */
  async read(sequences: readonly Int32Array[]): Promise<StoredDistributions> {
    const { topK } = this.settings;
    const parts = await Promise.all(sequences.map((sequence) => this.readOne(sequence)));
    const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
    const indices = new Int32Array(tokens * topK);
    const logs = new Float32Array(tokens * (topK + 1));
    let row = 0;
    for (const [i, part] of parts.entries()) {
      indices.set(part.indices, row * topK);
      logs.set(part.logs, row * (topK + 1));
      row += sequences[i].length;
    }
    return { topK, indices, logs };
  }

  /** Bytes on the disk for each token that is held, all headers included. */
  async bytesPerToken(): Promise<number> {
    const files = new Set([...this.places.values()].map(({ file }) => file));
    const sizes = await Promise.all([...files].map((file) => stat(join(this.directory, file))));
    const bytes = sizes.reduce((sum, { size }) => sum + size, 0);
    const tokens = [...this.places.values()].reduce((sum, { entry }) => sum + entry.tokens, 0);
    return tokens === 0 ? 0 : bytes / tokens;
  }

  private async readOne(sequence: Int32Array): Promise<StoredDistributions> {
    const place = this.places.get(keyOf(sequence));
    if (!place) {
      throw new TeacherCacheError({
        where: this.directory,
        what: 'the cache does not hold this sequence',
        got: `${sequence.length} tokens, ${sequence.slice(0, 8).join(' ')} …`,
        hint: 'Fill it with the sequences of the training: the same data, length, seed and number of steps.',
      });
    }
    const { file, dataStart, entry } = place;
    const [bytes] = await readEntries(join(this.directory, file), dataStart, [entry]);
    if (bytes) return decodeLogs(bytes, this.settings.topK, entry.tokens);
    throw new TeacherCacheError({
      where: join(this.directory, file),
      what: 'the block is damaged',
      hint: 'Fill the cache again: damaged blocks alone are made anew.',
    });
  }

  private async add(sequences: readonly Int32Array[], found: readonly StoredDistributions[]): Promise<void> {
    const contents = sequences.map((sequence, i) => {
      this.check(sequence, found[i]);
      return { key: keyOf(sequence), tokens: sequence.length, bytes: encodeLogs(found[i]) };
    });
    const name = createHash('sha256')
      .update(contents.map(({ key }) => key).join())
      .digest('hex');
    const file = `block-${name.slice(0, 16)}.bin`;
    await writeBlock(join(this.directory, file), contents);
    await this.indexFile(file);
  }

  private check(sequence: Int32Array, found: StoredDistributions | undefined): void {
    const { topK } = this.settings;
    const isWhole =
      found?.topK === topK &&
      found.indices.length === sequence.length * topK &&
      found.logs.length === sequence.length * (topK + 1) &&
      found.logs.every((log) => !Number.isNaN(log) && log <= 1e-3) &&
      found.indices.every((id) => id >= 0 && id < 2 ** 24);
    if (isWhole) return;
    throw new TeacherCacheError({
      where: 'teacher',
      what: 'the teacher did not give a distribution for each token',
      got: found ? `top ${found.topK}, ${found.logs.length} numbers` : 'nothing',
      expected: `top ${topK}, ${sequence.length * (topK + 1)} logarithms of probabilities`,
    });
  }

  private async index(): Promise<void> {
    for (const file of await blockFiles(this.directory)) await this.indexFile(file);
  }

  private async indexFile(file: string): Promise<void> {
    const index = await readBlockIndex(join(this.directory, file));
    for (const entry of index?.entries ?? [])
      this.places.set(entry.key, { file, dataStart: index?.dataStart ?? 0, entry });
  }

  /** Deletes blocks that are not as they were written; what other processes added meanwhile is found as well. */
  private async dropDamaged(): Promise<number> {
    this.places.clear();
    let damaged = 0;
    for (const file of await blockFiles(this.directory)) {
      const path = join(this.directory, file);
      const index = await readBlockIndex(path);
      const bytes = index && (await readEntries(path, index.dataStart, index.entries));
      if (bytes?.every((each) => each !== null)) await this.indexFile(file);
      else {
        damaged++;
        await rm(path);
      }
    }
    return damaged;
  }
}

async function blockFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => BLOCK.test(name)).sort();
}

async function readSettings(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new TeacherCacheError({ where: file, what: 'the settings of the cache cannot be read', cause });
  }
}

function requireSame(file: string, found: unknown, own: Readonly<Record<string, unknown>>): void {
  const parsed = settingsSchema.safeParse(found);
  const before: Readonly<Record<string, unknown>> = parsed.success ? parsed.data : {};
  const different = Object.keys(own).find((key) => before[key] !== own[key]);
  if (different === undefined) return;
  throw new TeacherCacheError({
    where: file,
    what: `the cache was made with another ${different}`,
    got: String(before[different]),
    expected: String(own[different]),
    hint: 'Use the settings that it was made with, or another folder.',
  });
}

function keyOf(sequence: Int32Array): string {
  const bytes = new Uint8Array(sequence.buffer, sequence.byteOffset, sequence.byteLength);
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}
