import { resolve } from 'node:path';
import type { AdapterSource } from '@frugal/serve/engine';
import { UsageError } from '../errors.js';
import type { ModelSource } from './engine-settings.js';

/**
 * Adapters by `MODEL:NAME`, or by `NAME` where there is one model.
 * @throws UsageError when there is no such model, or several that could be meant
 */
export function adapterSources(
  folders: Readonly<Record<string, string>> = {},
  models: readonly ModelSource[],
): readonly AdapterSource[] {
  return Object.entries(folders).map(([name, folder]) => {
    const owner = models.find((model) => name.startsWith(`${model.name}:`));
    const model = owner?.name ?? (models.length === 1 ? models[0].name : undefined);
    const adapter = owner ? name.slice(owner.name.length + 1) : name;
    if (model !== undefined && /^\w[\w.-]{0,99}$/.test(adapter))
      return { model, adapter, source: resolve(folder) };
    const expected = models.map((each) => `${each.name}:NAME`).join(' or ');
    const hint = 'Names have letters, digits, ., _ and -.';
    throw new UsageError({
      where: 'adapter',
      what: 'it is not clear for which model it is',
      got: name,
      expected,
      hint,
    });
  });
}
