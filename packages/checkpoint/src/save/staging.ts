import { copyFile, mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFully } from '../disk.js';
import { CheckpointWriteError, show } from '../errors.js';
import { formatJson } from '../json/json.js';
import { type SafetensorsOptions, writeSafetensorsFiles } from '../safetensors/files.js';
import type { TensorInputs } from '../tensor-input.js';

/** The folder that a save fills before it takes the place of the old one. Names are relative, with `/`. */
export interface StagingDirectory {
  /** Where the folder is now; other writers may put files there. */
  readonly path: string;
  writeFile(name: string, content: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<void>;
  /** Writes a value as indented JSON. */
  writeJson(name: string, value: unknown): Promise<void>;
  /** Writes a `.safetensors` file, or shards with an index: see `writeSafetensorsFiles`. */
  writeTensors(name: string, tensors: TensorInputs, options?: SafetensorsOptions): Promise<void>;
  copyFile(name: string, from: string): Promise<void>;
}

/** A staging directory at `path`, which exists. */
export function stagingDirectory(path: string): StagingDirectory {
  const prepare = async (name: string) => {
    checkFileName(name);
    const file = join(path, name);
    await mkdir(dirname(file), { recursive: true });
    return file;
  };
  return {
    path,
    async writeFile(name, content) {
      const file = await prepare(name);
      if (typeof content === 'string' || content instanceof Uint8Array) await writeFile(file, content);
      else await writeChunks(file, content);
    },
    async writeJson(name, value) {
      await writeFile(await prepare(name), formatJson(value));
    },
    async writeTensors(name, tensors, options) {
      await writeSafetensorsFiles(await prepare(name), tensors, options);
    },
    async copyFile(name, from) {
      await copyFile(from, await prepare(name));
    },
  };
}

/** Throws {@link CheckpointWriteError} unless `name` stays inside the folder it is relative to. */
export function checkFileName(name: string): void {
  const parts = name.split('/');
  const bad = parts.some((part) => part === '' || part === '.' || part === '..') || /[\\\0]/.test(name);
  if (!bad) return;
  throw new CheckpointWriteError({
    where: show(name),
    what: 'not a file name inside the checkpoint',
    expected: 'a relative name such as "config.json" or "trainer/state.json"',
  });
}

async function writeChunks(file: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'w');
  try {
    let position = 0;
    for await (const chunk of chunks) {
      await writeFully(handle, chunk, position);
      position += chunk.byteLength;
    }
  } finally {
    await handle.close();
  }
}
