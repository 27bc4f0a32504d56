import { type Backend, setBackend } from '@frugal/tensor-core';
import type { Command } from 'commander';
import {
  type BackendName,
  backendNames,
  candidates,
  isUnavailable,
  rankBackends,
} from './backend-candidates.js';
import type { Context } from './context.js';
import { integer, Option } from './verb.js';

export interface BackendOptions {
  readonly backend?: 'auto' | BackendName | undefined;
  readonly threads?: number | undefined;
}

/** `--backend` and `--threads`. */
export function addBackendOptions(command: Command): Command {
  const backend = new Option(
    '--backend <NAME>',
    'what computes; auto: a GPU or NPU where one is ready, else the processor',
  )
    .choices(['auto', ...backendNames])
    .default('auto')
    .env('FRUGAL_BACKEND');
  const threads = 'threads of the cpu backend (default: FRUGAL_THREADS, or the physical cores)';
  return command.addOption(backend).option('--threads <N>', threads, integer(1));
}

/**
 * Chooses what all tensors of this process are computed by.
 * @throws CpuBackendUnavailableError, CudaBackendUnavailableError, AscendUnavailableError when a backend was asked for by name and cannot run
 */
export function useBackend(options: BackendOptions, { terminal }: Context): Backend {
  const { backend = 'auto', threads } = options;
  const tell = (notice: string) => terminal.err(`${notice}\n`);
  const chosen =
    backend === 'auto'
      ? openBest(
          // A processor without kernels is worth a notice; a machine without a GPU is not.
          rankBackends().filter(({ name, score }) => score > 0 || name === 'cpu'),
          threads,
          tell,
        )
      : candidates[backend].open({ threads });
  setBackend(chosen);
  return chosen;
}

/** For work on numbers of the host: the processor, also where there is a GPU. */
export function useProcessor({ threads }: Pick<BackendOptions, 'threads'>, { terminal }: Context): Backend {
  const backend = openBest([{ name: 'cpu' }], threads, (notice) => terminal.err(`${notice}\n`));
  setBackend(backend);
  return backend;
}

/** The first that opens; the reference backend when none does. */
function openBest(
  choices: readonly { readonly name: BackendName }[],
  threads: number | undefined,
  tell: (notice: string) => void,
): Backend {
  for (const { name } of choices) {
    try {
      return candidates[name].open({ threads });
    } catch (error) {
      if (!isUnavailable(error) || (name === 'cpu' && process.env.FRUGAL_NATIVE === 'required')) throw error;
      const slow = name === 'cpu' ? ' The reference backend runs instead, hundreds of times slower.' : '';
      tell(`${error.message}${slow}`);
    }
  }
  return candidates.reference.open({});
}
