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

/** `NAME=PATH` each, as an option takes them. @throws UsageError for something else, and when two have one name */
export function pairsOf(pairs: readonly string[], option: string): Record<string, string> {
  const found = new Map<string, string>();
  for (const pair of pairs) {
    const [, name, path] = /^([^=/\\]+)=(.+)$/.exec(pair) ?? [];
    if (name === undefined) {
      throw new UsageError({ where: option, what: 'a name is missing', got: pair, expected: 'NAME=PATH' });
    }
    if (found.has(name)) throw new UsageError({ where: option, what: 'two have one name', got: name });
    found.set(name, path);
  }
  return Object.fromEntries(found);
}

function nameOf(model: string): readonly [name: string, source: string] {
  const match = /^([^=/\\]+)=(.+)$/.exec(model);
  if (match) return [match[1], match[2]];
  return [isHubReference(model) ? model.slice(3) : basename(resolve(model)), model];
}
