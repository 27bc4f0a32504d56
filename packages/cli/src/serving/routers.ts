import { readFile } from 'node:fs/promises';
import { ModelRouter, type ModelRouterState } from '@frugal/moe';
import type { Router } from '@frugal/serve';
import { CommandError, UsageError } from '../errors.js';
import type { ServeConfig } from './config.js';
import type { ModelSource } from './engine-settings.js';

/**
 * Opens saved routers.
 * @throws CommandError for a file that holds none, UsageError when one chooses a model that is not served
 */
export async function openRouters(
  files: ServeConfig['routers'] = {},
  models: readonly ModelSource[],
): Promise<Record<string, Router>> {
  const routers: Record<string, Router> = {};
  for (const [name, { file, tolerance }] of Object.entries(files)) {
    const router = await read(file);
    const names = router.models.map((model) => model.name);
    const served = models.map((model) => model.name);
    const missing = names.filter((each) => !served.includes(each));
    if (missing.length > 0) {
      const got = missing.join(', ');
      throw new UsageError({
        where: file,
        what: 'the router chooses models that are not served',
        got,
        expected: served.join(', '),
      });
    }
    if (served.includes(name)) {
      throw new UsageError({ where: '--router', what: 'a router has the name of a model', got: name });
    }
    routers[name] = { models: names, choose: (text) => names[router.choose(text, tolerance)] };
  }
  return routers;
}

async function read(file: string): Promise<ModelRouter> {
  try {
    return ModelRouter.fromJSON(JSON.parse(await readFile(file, 'utf8')) as ModelRouterState);
  } catch (cause) {
    const hint = 'Write JSON.stringify(router) of a ModelRouter of @frugal/moe there.';
    throw new CommandError({ where: file, what: 'there is no saved ModelRouter here', hint, cause });
  }
}
