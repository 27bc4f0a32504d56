import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.js';
import { fetchRepository } from './fetch-repository.js';
import { parseHubReference } from './reference.js';
import { type Selection, selectFiles } from './select-files.js';

/**
 * Folder or file of a model on the hub: from the cache, after what is missing in it was downloaded. Without a
 * connection, or with HF_HUB_OFFLINE=1, the model as it was last seen.
 * @throws CommandError when the model cannot be had, UsageError for a malformed name
 */
export async function fetchModel(source: string, context: Context): Promise<string> {
  const { folder, open } = await fetchRepository(parseHubReference(source), selectFiles, isComplete, context);
  return join(folder, open);
}

/** Files are linked when they are whole; what may be missing are some of several. */
async function isComplete(folder: string, { files, open }: Selection<{ path: string; size: number }>) {
  const split = /-of-0*(\d+)\.gguf$/i.exec(open);
  if (split) return files.length === Number(split[1]);
  const index = files.find(({ path }) => path.endsWith('.safetensors.index.json'));
  if (!index) return true;
  const { weight_map = {} } = JSON.parse(await readFile(join(folder, index.path), 'utf8')) as {
    weight_map?: Record<string, string>;
  };
  const here = new Set(files.map(({ path }) => path));
  return Object.values(weight_map).every((name) => here.has(name));
}
