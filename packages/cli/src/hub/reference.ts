import { UsageError } from '../errors.js';

/** `hf:org/name[@revision][:file]` of a model, `hf:datasets/org/name[@revision][:path]` of a data set. */
export interface HubReference {
  readonly kind: 'model' | 'dataset';
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  readonly file?: string | undefined;
}

const NAME = '[A-Za-z0-9][\\w.-]*';
const REFERENCE = new RegExp(
  `^hf:(datasets/)?(${NAME}(?:/${NAME})?)(?:@([\\w./-]+))?(?::([^:\\\\]+))?$`,
  'i',
);

const EXPECTED = {
  model: ['MODEL', 'hf:org/name, hf:org/name@revision or hf:org/name:file.gguf'],
  dataset: ['FILES', 'hf:datasets/org/name, hf:datasets/org/name@revision or hf:datasets/org/name:folder'],
} as const;

export const isHubReference = (source: string): boolean => /^hf:/i.test(source);

/** What messages call a repository. */
export const hubName = ({ kind, repository }: Pick<HubReference, 'kind' | 'repository'>): string =>
  `hf:${kind === 'dataset' ? 'datasets/' : ''}${repository}`;

/** @throws UsageError for what does not look like one, and for paths that lead out of the repository */
export function parseHubReference(source: string, wanted: HubReference['kind'] = 'model'): HubReference {
  const [, folder, repository, revision = 'main', file] = REFERENCE.exec(source) ?? [];
  const inside = [revision, file ?? ''].every(isInside);
  const kind = folder ? 'dataset' : 'model';
  if (repository !== undefined && inside && kind === wanted) return { kind, repository, revision, file };
  const [where, expected] = EXPECTED[wanted];
  const what = `not the name of a ${wanted === 'model' ? 'model' : 'data set'} on the hub`;
  throw new UsageError({ where, what, got: source, expected });
}

/** Whether a path of a repository stays in the folder that it is put into. */
export function isInside(path: string): boolean {
  return !/^([/\\]|[A-Za-z]:)|\\/.test(path) && !path.split('/').includes('..');
}
