import { cpuBackend, defaultBackend } from '@frugal/backend-cpu';
import { type Backend, referenceBackend, setBackend } from '@frugal/tensor-core';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { integer, Option } from './verb.js';

export interface BackendOptions {
  readonly backend?: 'auto' | 'cpu' | 'reference' | undefined;
  readonly threads?: number | undefined;
}

/** `--backend` and `--threads`. */
export function addBackendOptions(command: Command): Command {
  const backend = new Option('--backend <NAME>', 'what computes; auto: cpu where it runs')
    .choices(['auto', 'cpu', 'reference'])
    .default('auto')
    .env('FRUGAL_BACKEND');
  const threads = new Option('--threads <N>', 'threads of the cpu backend; default: physical cores')
    .argParser(integer(1))
    .env('FRUGAL_THREADS');
  return command.addOption(backend).addOption(threads);
}

/**
 * Chooses what all tensors of this process are computed by.
 * @throws BackendError when `cpu` was asked for by name and cannot run
 */
export function useBackend(
  { backend: name = 'auto', threads }: BackendOptions,
  { terminal }: Context,
): Backend {
  const backend = choose(name, threads, (notice) => terminal.err(`${notice}\n`));
  setBackend(backend);
  return backend;
}

function choose(
  name: NonNullable<BackendOptions['backend']>,
  threads: number | undefined,
  tell: (notice: string) => void,
): Backend {
  if (name === 'reference') return referenceBackend();
  if (name === 'cpu') return cpuBackend({ threads });
  const { backend, notice } = defaultBackend({ threads });
  if (notice) tell(notice);
  return backend;
}
