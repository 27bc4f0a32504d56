import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { ByteSource } from '../byte-source.js';
import { arriveOneByOne, Spool, writeContainer, writeTensorFile } from '../container-writer.js';
import { CheckpointFormatError, CheckpointWriteError, show } from '../errors.js';
import { openFileSource } from '../file-source.js';
import { formatJson, isJsonObject, parseJsonObject } from '../json/json.js';
import { saveFile } from '../save/file.js';
import { inputByteLength, type TensorInput, type TensorInputs } from '../tensor-input.js';
import { type TensorEntry, type TensorSource, tensorSourceOf } from '../tensor-source.js';
import { layoutSafetensors } from './layout.js';
import { readHeader, readSafetensors } from './reader.js';

/** What goes along with the tensors. */
export interface SafetensorsOptions {
  /** Strings kept in the header of every file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Start another file when one would grow beyond this many bytes of tensors. Default: a single file. */
  readonly maxShardBytes?: number;
}

/** Opens one safetensors file on disk. */
export async function openSafetensors(path: string): Promise<TensorSource> {
  const source = await openFileSource(path);
  try {
    return await readSafetensors(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Opens the shards that a `*.safetensors.index.json` lists, as one source. Entries come in the order of the index;
 * a shard's tensors that the index does not list are not part of the model.
 */
export async function openShardedSafetensors(indexPath: string): Promise<TensorSource> {
  const weightMap = await readWeightMap(indexPath);
  const files = new Map<string, ByteSource>();
  const shards = new Map<string, Map<string, TensorEntry>>();
  const metadata = new Map<string, string>();
  try {
    for (const shard of new Set(weightMap.values())) {
      const source = await openFileSource(join(dirname(indexPath), shard));
      files.set(source.name, source);
      const content = await readHeader(source);
      shards.set(shard, content.entries);
      for (const [key, value] of content.metadata) metadata.set(key, value);
    }
    const entries = new Map<string, TensorEntry>();
    for (const [name, shard] of weightMap) {
      const entry = shards.get(shard)!.get(name);
      if (!entry)
        throw indexError(indexPath, `tensor ${show(name)} is not in the shard that the index names`, shard);
      entries.set(name, entry);
    }
    return tensorSourceOf('safetensors', entries, metadata, files);
  } catch (error) {
    await Promise.all([...files.values()].map((file) => file.close()));
    throw error;
  }
}

async function readWeightMap(indexPath: string): Promise<Map<string, string>> {
  const source = await openFileSource(indexPath);
  const bytes = new Uint8Array(source.size);
  await source.readInto(bytes, 0).finally(() => source.close());
  const weightMap = parseJsonObject(bytes, indexPath).weight_map;
  if (!isJsonObject(weightMap)) throw indexError(indexPath, 'the index has no weight_map', show(weightMap));
  const result = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    // A shard lies beside its index: a path could reach files that are none of the model's business.
    const plain = typeof shard === 'string' && shard.endsWith('.safetensors') && !/[/\\\0]/.test(shard);
    if (!plain) throw indexError(indexPath, `bad shard name for tensor ${show(name)}`, show(shard));
    result.set(name, shard);
  }
  return result;
}

function indexError(file: string, what: string, got: string): CheckpointFormatError {
  return new CheckpointFormatError({ file, what, got });
}

/**
 * Writes one safetensors file atomically: whoever opens `path` sees the old file or the new one, whole.
 * Throws CheckpointWriteError for tensors the format cannot hold and when the disk refuses.
 */
export async function saveSafetensors(
  path: string,
  tensors: TensorInputs,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await saveFile(path, (temporary) =>
    writeTensorFile(temporary, tensors, (list) => layoutSafetensors(list, metadata)),
  );
}

/**
 * Writes `<stem>.safetensors`, or, when `maxShardBytes` makes it several files, `<stem>-00001-of-0000N.safetensors`
 * and `<stem>.safetensors.index.json`. `path` ends in `.safetensors`. Memory: one tensor, or one chunk of it.
 * Returns the paths written. Not atomic: see `saveSafetensors` and `saveDirectory`.
 */
export async function writeSafetensorsFiles(
  path: string,
  tensors: TensorInputs,
  { metadata = {}, maxShardBytes = Number.POSITIVE_INFINITY }: SafetensorsOptions = {},
): Promise<string[]> {
  if (!path.endsWith('.safetensors')) {
    throw new CheckpointWriteError({ where: path, what: 'the file name must end in .safetensors' });
  }
  const stem = path.slice(0, -'.safetensors'.length);
  const shards = new ShardWriter(stem, metadata, maxShardBytes, arriveOneByOne(tensors));
  try {
    for await (const tensor of tensors) await shards.add(tensor);
    return await shards.finish();
  } finally {
    await shards.close();
  }
}

class ShardWriter {
  private readonly spool: Spool | undefined;
  private readonly shards: { path: string; names: string[] }[] = [];
  private readonly names = new Set<string>();
  private pending: TensorInput[] = [];
  private pendingBytes = 0;
  private totalBytes = 0;

  constructor(
    private readonly stem: string,
    private readonly metadata: Readonly<Record<string, string>>,
    private readonly maxShardBytes: number,
    spooled: boolean,
  ) {
    this.spool = spooled ? new Spool(`${stem}.spool`) : undefined;
  }

  async add(tensor: TensorInput): Promise<void> {
    const byteLength = inputByteLength(tensor);
    if (this.names.has(tensor.name)) {
      throw new CheckpointWriteError({
        where: `tensor ${show(tensor.name)}`,
        what: 'two tensors of this name',
      });
    }
    this.names.add(tensor.name);
    if (this.pending.length > 0 && this.pendingBytes + byteLength > this.maxShardBytes) await this.flush();
    this.pending.push(this.spool ? await this.spool.add(tensor) : tensor);
    this.pendingBytes += byteLength;
    this.totalBytes += byteLength;
  }

  /** Gives the files their names, which only now are known, and writes the index. */
  async finish(): Promise<string[]> {
    await this.flush();
    const { stem, shards } = this;
    if (shards.length === 1) {
      await rename(shards[0].path, `${stem}.safetensors`);
      return [`${stem}.safetensors`];
    }
    const number = (index: number) => String(index).padStart(5, '0');
    const weightMap: [string, string][] = [];
    const paths: string[] = [];
    for (const [index, shard] of shards.entries()) {
      const path = `${stem}-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
      await rename(shard.path, path);
      paths.push(path);
      for (const name of shard.names) weightMap.push([name, basename(path)]);
    }
    weightMap.sort(([a], [b]) => (a < b ? -1 : 1));
    const index = { metadata: { total_size: this.totalBytes }, weight_map: Object.fromEntries(weightMap) };
    await writeFile(`${stem}.safetensors.index.json`, formatJson(index));
    return [...paths, `${stem}.safetensors.index.json`];
  }

  /** Removes what is unfinished. */
  async close(): Promise<void> {
    await this.spool?.close();
    await Promise.all(this.shards.map(({ path }) => rm(path, { force: true })));
  }

  private async flush(): Promise<void> {
    const path = `${this.stem}.shard-${this.shards.length + 1}`;
    this.shards.push({ path, names: this.pending.map(({ name }) => name) });
    await writeContainer(path, this.pending, (tensors) => layoutSafetensors(tensors, this.metadata));
    this.pending = [];
    this.pendingBytes = 0;
    await this.spool?.clear();
  }
}
