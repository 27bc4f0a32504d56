import type { BigIntStats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CheckpointChangedError,
  CheckpointFormatError,
  CheckpointNotFoundError,
  codeOf,
  messageOf,
  show,
} from './errors.js';
import { type JsonObject, type JsonValue, parseJson, parseJsonObject } from './json/json.js';
import { MANIFEST_FILE, type Manifest } from './manifest.js';
import { openTensors } from './open-tensors.js';
import { ASCEND_DESCRIPTION, ascendSettings } from './quantized/ascend.js';
import { openShardedSafetensors } from './safetensors/files.js';
import { resolveDirectory } from './save/place.js';
import { checkFileName } from './save/staging.js';
import type { TensorSource } from './tensor-source.js';

/** An open checkpoint: a Hugging Face directory, or a single file of tensors. */
export interface Checkpoint {
  readonly path: string;
  /** `directory`: config.json and friends; else one file of that format, whose metadata are in `tensors`. */
  readonly kind: 'directory' | TensorSource['format'];
  /** config.json; empty for a single file. */
  readonly config: JsonObject;
  /** frugal.json, when there is one. */
  readonly manifest: Manifest | undefined;
  readonly tensors: TensorSource;
  /** Names of all files, sorted, those in subfolders with `/`; empty for a single file. */
  readonly files: readonly string[];
  /** Contents of one of the files. Throws CheckpointNotFoundError, and CheckpointChangedError when a save came between. */
  readFile(name: string): Promise<Uint8Array>;
  /** {@link readFile} for JSON, parsed strictly. */
  readJson(name: string): Promise<JsonValue>;
  /** Opens tensors of another file of the directory, such as `trainer/optimizer.safetensors`. To be closed apart. */
  openTensors(name: string): Promise<TensorSource>;
  close(): Promise<void>;
}

/** Weights in the order in which they are looked for. */
const WEIGHTS = ['model.safetensors', 'model.safetensors.index.json'] as const;
const OPEN_ATTEMPTS = 20;
const MAX_FOLDER_DEPTH = 4;

/**
 * Opens a checkpoint for reading. All of it belongs to one version, even while another process saves to the same
 * path, and a save that was cut off is recovered from.
 *
 * Throws {@link CheckpointNotFoundError} when there is none, {@link CheckpointFormatError} when it is damaged.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  for (let attempt = 1; ; attempt++) {
    const folder = await resolveDirectory(path);
    if (folder === undefined)
      throw new CheckpointNotFoundError({ where: path, what: 'there is no checkpoint here' });
    try {
      return (await stat(folder)).isDirectory() ? await openDirectory(path, folder) : await openFile(folder);
    } catch (error) {
      const replaced = error instanceof CheckpointChangedError || codeOf(error) === 'ENOENT';
      if (!replaced || attempt >= OPEN_ATTEMPTS) throw error;
    }
  }
}

async function openFile(path: string): Promise<Checkpoint> {
  const tensors = await openTensors(path);
  const refuse = async (name: string): Promise<never> => {
    throw new CheckpointNotFoundError({ where: path, what: `a single file has no ${show(name)} beside it` });
  };
  return {
    path,
    kind: tensors.format,
    config: {},
    manifest: undefined,
    tensors,
    files: [],
    readFile: refuse,
    readJson: refuse,
    openTensors: refuse,
    close: () => tensors.close(),
  };
}

async function openDirectory(path: string, folder: string): Promise<Checkpoint> {
  const version = await versionOf(folder);
  /** Runs `read` and makes sure that it saw the version that was opened. */
  const consistent = async <T>(
    read: () => Promise<T>,
    undo: (result: T) => Promise<void> = async () => {},
  ): Promise<T> => {
    const result = await read().catch(async (error: unknown) => {
      throw (await versionOf(folder)) === version ? error : changed(path);
    });
    if ((await versionOf(folder)) === version) return result;
    await undo(result);
    throw changed(path);
  };
  const readFile = (name: string) => consistent(() => readInside(path, folder, name));
  const content = await consistent(
    () => readContent(path, folder),
    ({ tensors }) => tensors.close(),
  );
  return {
    path,
    kind: 'directory',
    ...content,
    readFile,
    readJson: async (name) => parseJson(await readFile(name), join(path, name)),
    async openTensors(name) {
      checkFileName(name);
      return consistent(
        () => openTensors(join(folder, name)),
        (tensors) => tensors.close(),
      );
    },
    close: () => content.tensors.close(),
  };
}

async function readContent(path: string, folder: string) {
  const files = await listFiles(folder);
  if (!files.includes('config.json')) {
    throw new CheckpointNotFoundError({
      where: path,
      what: 'the folder has no config.json',
      got: describe(files),
    });
  }
  const readObject = async (name: string) =>
    parseJsonObject(await readInside(path, folder, name), join(path, name));
  const stored = await readObject('config.json');
  const isDescribed = !stored.quantization_config && files.includes(ASCEND_DESCRIPTION);
  const config = isDescribed
    ? { ...stored, quantization_config: ascendSettings(await readObject(ASCEND_DESCRIPTION)) as JsonObject }
    : stored;
  const manifest = files.includes(MANIFEST_FILE)
    ? checkManifest(await readObject(MANIFEST_FILE), path)
    : undefined;
  return { config, manifest, files, tensors: await openWeights(path, folder, files) };
}

async function openWeights(path: string, folder: string, files: readonly string[]): Promise<TensorSource> {
  const weights = WEIGHTS.find((name) => files.includes(name));
  if (weights === 'model.safetensors.index.json') return openShardedSafetensors(join(folder, weights));
  if (weights) return openTensors(join(folder, weights));
  const pickled = files.some((name) => /\.(bin|pt|pth)$/.test(name));
  throw new CheckpointNotFoundError({
    where: path,
    what: 'the folder has no weights',
    got: describe(files),
    expected: WEIGHTS.join(' or '),
    hint: pickled
      ? 'Python pickles can run code and are not opened: convert them to safetensors in Python.'
      : undefined,
  });
}

async function readInside(path: string, folder: string, name: string): Promise<Uint8Array> {
  checkFileName(name);
  try {
    return await readFile(join(folder, name));
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw cause;
    throw new CheckpointNotFoundError({ where: path, what: `there is no ${show(name)}`, cause });
  }
}

function checkManifest(manifest: JsonObject, path: string): Manifest {
  if (manifest.version === 1) return manifest as unknown as Manifest;
  throw new CheckpointFormatError({
    file: join(path, MANIFEST_FILE),
    what: 'unknown version of the manifest',
    got: show(manifest.version),
    expected: '1',
    hint: 'A newer version of frugal wrote it: update.',
  });
}

async function listFiles(folder: string, prefix = '', depth = 0): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(join(folder, prefix), { withFileTypes: true })) {
    const name = prefix + entry.name;
    if (!entry.isDirectory()) files.push(name);
    else if (depth < MAX_FOLDER_DEPTH && !entry.name.startsWith('.')) {
      files.push(...(await listFiles(folder, `${name}/`, depth + 1)));
    }
  }
  return files.sort();
}

function describe(files: readonly string[]): string {
  return files.length === 0
    ? 'an empty folder'
    : `${files.length} files such as ${files.slice(0, 3).join(', ')}`;
}

function changed(path: string): CheckpointChangedError {
  const what = 'the checkpoint was replaced while it was being read';
  return new CheckpointChangedError({ where: path, what, hint: 'Open it again.' });
}

/** Tells one version of a folder from the next. The number of a folder may be used again; with config.json's it is safe. */
async function versionOf(folder: string): Promise<string> {
  const identify = async (file: string): Promise<BigIntStats | undefined> => {
    try {
      return await stat(file, { bigint: true });
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw new CheckpointNotFoundError({
        where: file,
        what: 'cannot be read',
        got: messageOf(error),
        cause: error,
      });
    }
  };
  const [directory, config] = [await identify(folder), await identify(join(folder, 'config.json'))];
  return [directory?.dev, directory?.ino, config?.ino, config?.mtimeNs, config?.size].join(':');
}
