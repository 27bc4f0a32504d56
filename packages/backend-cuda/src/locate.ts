import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export const BINDING = 'tfjs_binding.node';
export const PREPARED = 'prepared.json';

/** What {@link prepareTensorFlow} writes beside the binding. */
export interface Prepared {
  readonly tensorflow: string;
  /** Folder of the Python package. */
  readonly folder: string;
  /** CUDA and cuDNN that it was built for; null for a build without. */
  readonly cuda: string | null;
  readonly cudnn: string | null;
  readonly tfjs: string;
}

export interface Located {
  readonly binding: string;
  readonly prepared: Prepared | null;
}

/** Where `frugal doctor --fix cuda` puts the binding: `XDG_CACHE_HOME/frugal/tensorflow`. */
export function preparedFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'frugal', 'tensorflow');
}

/** The folder of `@tensorflow/tfjs-node-gpu`, seen from the working directory and from here; null if it is not installed. */
export function findTfjs(): string | null {
  for (const from of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      return dirname(createRequire(from).resolve('@tensorflow/tfjs-node-gpu/package.json'));
    } catch {}
  }
  return null;
}

/** Bindings that may be loaded, best first, whether they are there or not. */
export function bindingPlaces(): string[] {
  const wish = process.env.FRUGAL_TENSORFLOW;
  if (wish) return [resolve(existsSync(wish) && statSync(wish).isFile() ? wish : join(wish, BINDING))];
  const tfjs = findTfjs();
  return [join(preparedFolder(), BINDING), ...(tfjs ? [join(tfjs, 'lib', 'napi-v8', BINDING)] : [])];
}

/** The first binding that is there, with what is known of it. */
export function locateBinding(): Located | null {
  const binding = bindingPlaces().find((path) => existsSync(path));
  if (!binding) return null;
  const facts = join(dirname(binding), PREPARED);
  return {
    binding,
    prepared: existsSync(facts) ? (JSON.parse(readFileSync(facts, 'utf8')) as Prepared) : null,
  };
}
