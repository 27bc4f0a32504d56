import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { withProgress } from '../progress.js';
import { isCommit, RepositoryCache } from './cache.js';
import { download } from './download.js';
import { type HubFile, HubRepository, HubUnavailableError } from './hub.js';
import { type HubReference, hubName } from './reference.js';
import type { RepositoryFile, Selection } from './select-files.js';

/** Chooses among the files of a repository. @throws CommandError when there is nothing to choose */
export type Choose = <F extends RepositoryFile>(files: readonly F[], reference: HubReference) => Selection<F>;

/** Whether what the cache has of a choice is all of it. */
export type IsComplete = (folder: string, chosen: Selection<RepositoryFile>) => boolean | Promise<boolean>;

/** Where the chosen files of a repository are now. */
export interface Fetched extends Selection<RepositoryFile> {
  readonly folder: string;
}

/**
 * The chosen files of a repository: from the cache, after what is missing in it was downloaded. Without a connection, or with
 * HF_HUB_OFFLINE=1, as they were last seen. @throws CommandError when they cannot be had
 */
export async function fetchRepository(
  reference: HubReference,
  choose: Choose,
  isComplete: IsComplete,
  context: Context,
): Promise<Fetched> {
  const cache = new RepositoryCache(reference);
  const cached = () => findCached(cache, reference, choose, isComplete);
  const offline = /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '');
  // A commit never changes: what is here of it needs no question.
  if (offline || isCommit(reference.revision)) {
    const found = await cached();
    if (found !== undefined) return found;
    if (offline) throw notCached(reference, 'and HF_HUB_OFFLINE forbids to download it');
  }
  try {
    return await fetchFromHub(cache, reference, choose, context);
  } catch (error) {
    if (!(error instanceof HubUnavailableError)) throw error;
    const found = await cached();
    if (found === undefined) throw error;
    context.terminal.err(`${error.message} The copy in the cache is used.\n`);
    return found;
  }
}

async function fetchFromHub(
  cache: RepositoryCache,
  reference: HubReference,
  choose: Choose,
  context: Context,
): Promise<Fetched> {
  const hub = new HubRepository(reference, context.signal);
  const commit = await hub.commitOf(reference.revision);
  const selection = choose(await hub.files(commit), reference);
  await downloadAll(selection, cache, hub, { name: hubName(reference), commit }, context);
  await cache.remember(reference.revision, commit);
  return { ...selection, folder: cache.snapshot(commit) };
}

async function downloadAll(
  { files }: Selection<HubFile>,
  cache: RepositoryCache,
  hub: HubRepository,
  { name: repository, commit }: { readonly name: string; readonly commit: string },
  context: Context,
): Promise<void> {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  await withProgress(context, 'Downloading', async (update) => {
    for (const { path, size, hash, kind } of files) {
      const show = (arrived: number) => update(before + arrived, total, path);
      if (!(await cache.hasBlob(hash, size))) {
        const name = `${repository}:${path}`;
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

/** What the cache has of a repository, if it is all that is wanted. */
async function findCached(
  cache: RepositoryCache,
  reference: HubReference,
  choose: Choose,
  isComplete: IsComplete,
): Promise<Fetched | undefined> {
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
    const selection = choose(files, reference);
    return (await isComplete(folder, selection)) ? { ...selection, folder } : undefined;
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

function notCached(reference: HubReference, why: string): CommandError {
  const what = reference.kind === 'model' ? 'model' : 'data set';
  return new CommandError({ where: hubName(reference), what: `the ${what} is not in the cache, ${why}` });
}
