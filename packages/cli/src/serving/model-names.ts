import { basename, resolve } from 'node:path';
import { UsageError } from '../errors.js';
import { isHubReference } from '../hub/reference.js';

/**
 * Models by the names that requests call them: `NAME=MODEL`, or the name of the folder.
 * @throws UsageError when two have one name
 */
export function sourcesOf(models: readonly string[]): Record<string, string> {
  const sources = new Map<string, string>();
  for (const [name, source] of models.map(nameOf)) {
    if (sources.has(name)) {
      const hint = 'Give each a name: NAME=MODEL.';
      throw new UsageError({ where: 'serve', what: 'two models have one name', got: name, hint });
    }
    sources.set(name, source);
  }
  return Object.fromEntries(sources);
}

function nameOf(model: string): readonly [name: string, source: string] {
  const match = /^([^=/\\]+)=(.+)$/.exec(model);
  if (match) return [match[1], match[2]];
  return [isHubReference(model) ? model.slice(3) : basename(resolve(model)), model];
}
