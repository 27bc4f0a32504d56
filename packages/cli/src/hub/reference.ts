import { UsageError } from '../errors.js';

/** `hf:org/name[@revision][:file]`. */
export interface HubReference {
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  readonly file?: string | undefined;
}

const NAME = '[A-Za-z0-9][\\w.-]*';
const REFERENCE = new RegExp(`^hf:(${NAME}(?:/${NAME})?)(?:@([\\w./-]+))?(?::([^:\\\\]+))?$`, 'i');

export const isHubReference = (source: string): boolean => /^hf:/i.test(source);

/** @throws UsageError for what does not look like one, and for paths that lead out of the repository */
export function parseHubReference(source: string): HubReference {
  const [, repository, revision = 'main', file] = REFERENCE.exec(source) ?? [];
  const inside = [revision, file ?? ''].every(isInside);
  if (repository !== undefined && inside) return { repository, revision, file };
  throw new UsageError({
    where: 'MODEL',
    what: 'not the name of a model on the hub',
    got: source,
    expected: 'hf:org/name, hf:org/name@revision or hf:org/name:file.gguf',
  });
}

/** Whether a path of a repository stays in the folder that it is put into. */
export function isInside(path: string): boolean {
  return !/^([/\\]|[A-Za-z]:)|\\/.test(path) && !path.split('/').includes('..');
}
