import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
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
  const threads = 'threads of the cpu backend (default: FRUGAL_THREADS, or the physical cores)';
  return command.addOption(backend).option('--threads <N>', threads, integer(1));
}

/**
 * Chooses what all tensors of this process are computed by.
 * @throws CpuBackendUnavailableError when `cpu` was asked for by name and cannot run
 */
export function useBackend(options: BackendOptions, { terminal }: Context): Backend {
  const backend = choose(options, (notice) => terminal.err(`${notice}\n`));
  setBackend(backend);
  return backend;
}

function choose({ backend = 'auto', threads }: BackendOptions, tell: (notice: string) => void): Backend {
  if (backend === 'reference') return referenceBackend();
  if (backend === 'cpu' || process.env.FRUGAL_NATIVE === 'required') return cpuBackend({ threads });
  try {
    return cpuBackend({ threads });
  } catch (error) {
    if (!(error instanceof CpuBackendUnavailableError)) throw error;
    tell(`${error.message} The reference backend runs instead, hundreds of times slower.`);
    return referenceBackend();
  }
}
