import { ArgumentError, type Backend, referenceBackend } from '@frugal/tensor-core';
import { allIsas, type Isa, loadAddon } from './addon.js';
import { CpuBackend, type Runtime } from './backend.js';
import { CommandBuffer } from './command.js';
import { CpuBackendUnavailableError } from './errors.js';
import { MemoryPool } from './memory.js';
import { checkThreads, defaultThreads } from './threads.js';

export interface CpuOptions {
  /** Threads of large kernels. Default: `FRUGAL_THREADS`, or one per physical core. */
  readonly threads?: number | undefined;
  /** Instruction set. Default: `FRUGAL_CPU_ISA`, or the best that the processor has. */
  readonly isa?: Isa | undefined;
  /** Estimated nanoseconds of work from which on a kernel uses several threads. Default: 40,000; tests use 0. */
  readonly minimumWork?: number | undefined;
}

const DEFAULT_MINIMUM_WORK = 40_000;

let runtime: Runtime | null = null;
const backends = new Map<string, CpuBackend>();

function sharedRuntime(): Runtime {
  if (runtime) return runtime;
  const addon = loadAddon();
  runtime = { addon, command: new CommandBuffer(addon), pool: new MemoryPool(addon) };
  return runtime;
}

/** ISA levels that this machine can run, lowest first. @throws CpuBackendUnavailableError */
export function availableIsas(): readonly Isa[] {
  return sharedRuntime().addon.isas;
}

function chooseIsa(wish: string | undefined, where: string): Isa {
  const { isas, cpuModel } = sharedRuntime().addon;
  if (wish === undefined || wish === '') return isas[isas.length - 1];
  const isa = allIsas.find((name) => name === wish);
  if (isa && isas.includes(isa)) return isa;
  throw new ArgumentError({
    where,
    what: isa ? `this processor (${cpuModel}) cannot run this instruction set` : 'unknown instruction set',
    got: wish,
    expected: isas.join(', '),
  });
}

/**
 * The native CPU backend; equal options give the same backend. Works in worker threads, each with its own tensors.
 * @throws CpuBackendUnavailableError with the reason and what to run; ArgumentError for options that do not exist
 */
export function cpuBackend(options: CpuOptions = {}): CpuBackend {
  const shared = sharedRuntime();
  const isa =
    options.isa === undefined
      ? chooseIsa(process.env.FRUGAL_CPU_ISA, 'FRUGAL_CPU_ISA')
      : chooseIsa(options.isa, 'cpuBackend');
  const threads =
    options.threads === undefined ? defaultThreads() : checkThreads(options.threads, 'cpuBackend');
  const minimumWork = options.minimumWork ?? DEFAULT_MINIMUM_WORK;
  const key = `${isa} ${threads} ${minimumWork}`;
  let backend = backends.get(key);
  if (!backend) {
    backend = new CpuBackend(shared, isa, threads, minimumWork);
    backends.set(key, backend);
  }
  return backend;
}

/** {@link cpuBackend} for callers that load backends asynchronously. */
export async function loadCpuBackend(options: CpuOptions = {}): Promise<CpuBackend> {
  return cpuBackend(options);
}

let warned = false;

/**
 * The CPU backend where it can be loaded, else the reference backend, with one line on stderr that says why and what to
 * run. `FRUGAL_NATIVE=required` makes that an error.
 * @throws CpuBackendUnavailableError with FRUGAL_NATIVE=required
 */
export function defaultBackend(options: CpuOptions = {}): Backend {
  try {
    return cpuBackend(options);
  } catch (error) {
    if (!(error instanceof CpuBackendUnavailableError) || process.env.FRUGAL_NATIVE === 'required')
      throw error;
    if (!warned)
      console.warn(`${error.message} Until then the reference backend runs, hundreds of times slower.`);
    warned = true;
    return referenceBackend();
  }
}
