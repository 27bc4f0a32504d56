import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { withProgress } from '../progress.js';
import { isCommit, ModelCache } from './cache.js';
import { download } from './download.js';
import { type HubFile, HubRepository, HubUnavailableError } from './hub.js';
import { type HubReference, parseHubReference } from './reference.js';
import { type Selection, selectFiles } from './select-files.js';

/**
 * Folder or file of a model on the hub: from the cache, after what is missing in it was downloaded. Without a
 * connection, or with HF_HUB_OFFLINE=1, the model as it was last seen.
 * @throws CommandError when the model cannot be had, UsageError for a malformed name
 */
export async function fetchModel(source: string, context: Context): Promise<string> {
  const reference = parseHubReference(source);
  const cache = new ModelCache(reference.repository);
  const offline = /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '');
  // A commit never changes: what is here of it needs no question.
  if (offline || isCommit(reference.revision)) {
    const found = await findCached(cache, reference);
    if (found !== undefined) return found;
    if (offline) throw notCached(source, 'and HF_HUB_OFFLINE forbids to download it');
  }
  try {
    return await fetchFromHub(cache, reference, context);
  } catch (error) {
    if (!(error instanceof HubUnavailableError)) throw error;
    const found = await findCached(cache, reference);
    if (found === undefined) throw error;
    context.terminal.err(`${error.message} The copy in the cache is used.\n`);
    return found;
  }
}

async function fetchFromHub(
  cache: ModelCache,
  { repository, revision, file }: HubReference,
  context: Context,
): Promise<string> {
  const hub = new HubRepository(repository, context.signal);
  const commit = await hub.commitOf(revision);
  const selection = selectFiles(await hub.files(commit), { repository, file });
  await downloadAll(selection, cache, hub, { repository, commit }, context);
  await cache.remember(revision, commit);
  return join(cache.snapshot(commit), selection.open);
}

async function downloadAll(
  { files }: Selection<HubFile>,
  cache: ModelCache,
  hub: HubRepository,
  { repository, commit }: { readonly repository: string; readonly commit: string },
  context: Context,
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  await withProgress(context, 'Downloading', async (update) => {
    for (const { path, size, hash, kind } of files) {
      const show = (arrived: number) => update(before + arrived, total, path);
      if (!(await cache.hasBlob(hash, size))) {
        const name = `hf:${repository}:${path}`;
        const read = (start: number) => hub.read(commit, path, start);
        const file = { name, size, hash, kind, target: cache.blob(hash), read };
        await download(file, { signal: context.signal, onBytes: show });
      }
      await cache.link(commit, path, hash);
      before += size;
      show(0);
    }
  });
}

/** What the cache has of a model, if it is all of it. */
async function findCached(cache: ModelCache, reference: HubReference): Promise<string | undefined> {
  const commit = await cache.commitOf(reference.revision);
  if (commit === undefined) return undefined;
  const folder = cache.snapshot(commit);
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const files: { path: string; size: number }[] = [];
  for (const path of names) {
    const found = await stat(join(folder, path)).catch(() => undefined);
    if (found?.isFile()) files.push({ path: path.replaceAll('\\', '/'), size: found.size });
  }
  try {
    const selection = selectFiles(files, reference);
    return (await isComplete(folder, selection)) ? join(folder, selection.open) : undefined;
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
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

function notCached(source: string, why: string): CommandError {
  return new CommandError({ where: source, what: `the model is not in the cache, ${why}` });
}
