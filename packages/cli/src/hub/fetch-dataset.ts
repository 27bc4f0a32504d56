import { join } from 'node:path';
import { sourceKind } from '@frugal/data';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { fetchRepository } from './fetch-repository.js';
import { type HubReference, hubName, isInside, parseHubReference } from './reference.js';
import type { RepositoryFile, Selection } from './select-files.js';

/**
 * The data files of a data set on the hub, downloaded into its cache: those at or below the path of the reference, or else those
 * of the training split. @throws CommandError when there are none, UsageError for a malformed name
 */
export async function fetchDataset(source: string, context: Context): Promise<string[]> {
  const reference = parseHubReference(source, 'dataset');
  const { folder, files } = await fetchRepository(reference, selectDataFiles, hasAllParts, context);
  return files.map(({ path }) => join(folder, path));
}

/** Kinds that can hold a data set, the best first: one of them is often there in another form as well. */
const KINDS = ['parquet', 'json-lines', 'csv', 'json', 'text'] as const;
const NO_DATA = /(^|\/)(\.|README|LICENSE|dataset_infos?\.json|.*\.(md|py|ya?ml|png|jpe?g|gif|html|lock)$)/i;

export function selectDataFiles<F extends RepositoryFile>(
  all: readonly F[],
  reference: Pick<HubReference, 'kind' | 'repository' | 'file'>,
): Selection<F> {
  const usable = all.filter(({ path }) => isInside(path) && !NO_DATA.test(path));
  const { file } = reference;
  const below = usable.filter(
    ({ path }) => file === undefined || path === file || path.startsWith(`${file}/`),
  );
  const kind = KINDS.find((each) => below.some(({ path }) => sourceKind(path) === each));
  const ofKind = below.filter(({ path }) => sourceKind(path) === kind);
  const training = ofKind.filter(({ path }) => /(^|[/_.-])train/i.test(path));
  const files = file === undefined && training.length > 0 ? training : ofKind;
  if (files.length > 0) return { files: [...files].sort((a, b) => (a.path < b.path ? -1 : 1)), open: '' };
  const seen = usable.map(({ path }) => path);
  throw new CommandError({
    where: hubName(reference),
    what: file === undefined ? 'there are no data files' : 'there is nothing at this path',
    got: file ?? 'no files',
    hint: seen.length > 0 ? `There are: ${seen.slice(0, 20).join(', ')}.` : '',
  });
}

/** Files are linked when they are whole; what may be missing are some of several parts. */
function hasAllParts(_folder: string, { files }: Selection<RepositoryFile>): boolean {
  const parts = new Map<string, number>();
  for (const { path } of files) {
    const name = path.replace(/-\d+(?=-of-\d+)/, '');
    parts.set(name, (parts.get(name) ?? 0) + 1);
  }
  return [...parts].every(([name, count]) => count === Number(/-of-0*(\d+)/.exec(name)?.[1] ?? count));
}
