import { existsSync } from 'node:fs';
import { type Engine, type EngineNotice, spawnEngine } from '@frugal/serve/engine';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { packageFolder } from '../version.js';
import type { EngineSettings } from './engine-settings.js';

/** Starts the engine in a process of its own, which loads the models. What happens to it later goes to `tell`. */
export function startEngine(
  settings: EngineSettings,
  { signal }: Context,
  tell: (notice: EngineNotice) => void,
): Promise<Engine> {
  const module = new URL('dist/serving/engine-process.js', packageFolder);
  if (!existsSync(module)) {
    const hint = 'A process of its own needs JavaScript: run npm run build.';
    throw new CommandError({ where: 'serve', what: 'the package is not built', hint });
  }
  return spawnEngine({ module, settings, signal, onNotice: tell });
}

/** One line for people. */
export function describeNotice(notice: EngineNotice): string {
  if (notice.type === 'restarted') return 'The engine runs again.';
  if (notice.type === 'adapter-lost')
    return `The adapter ${notice.model}:${notice.adapter} is lost: ${messageOf(notice.error)}`;
  const again = `Next start in ${notice.delay / 1000} s.`;
  if (notice.type === 'restart-failed')
    return `The engine did not start: ${messageOf(notice.error)} ${again}`;
  const { how, lost } = notice;
  return `The engine crashed (${how}); ${lost} ${lost === 1 ? 'request was' : 'requests were'} lost. ${again}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
