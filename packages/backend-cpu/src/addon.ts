import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { CpuBackendUnavailableError } from './errors.js';

/** What native/core/addon.cpp exports. */
export interface Addon {
  readonly protocol: number;
  readonly maxRank: number;
  readonly maxTensors: number;
  readonly cpuModel: string;
  /** Names of all kernels; a kernel's number is its position. */
  readonly kernels: readonly string[];
  /** ISA levels that this machine can run, lowest first. */
  readonly isas: readonly Isa[];
  initialize(command: ArrayBuffer): void;
  /** Runs what lies in the command buffer. */
  execute(): void;
  /** From now on `execute` also takes the calls down. */
  startRecording(): void;
  /** The calls since then as a program; the command buffer names the memory that changes from run to run. */
  finishRecording(): object;
  /** Runs a program; the command buffer says where that memory lies now. */
  replay(program: object): void;
  /** Kernel, calls and nanoseconds of the measured runs, which are forgotten. */
  takeTimes(program: object): readonly (readonly [kernel: number, calls: number, nanoseconds: number])[];
  addressOf(buffer: ArrayBuffer): number;
  mapFile(path: string): MappedFile;
  mappedBytes(handle: object, offset: number, length: number): ArrayBuffer;
  /** Gives back the pages of a range; they come from the file again when they are touched. */
  discardPages(handle: object, offset: number, length: number): void;
}

export interface MappedFile {
  readonly address: number;
  readonly byteLength: number;
  readonly handle: object;
}

/** ISA levels, each containing all earlier ones. */
export type Isa = 'scalar' | 'avx2' | 'avx512' | 'avx512bf16' | 'amx';

export const allIsas: readonly Isa[] = ['scalar', 'avx2', 'avx512', 'avx512bf16', 'amx'];

/** Must equal PROTOCOL in native/core/addon.cpp. */
const PROTOCOL = 2;

const addonPath = fileURLToPath(new URL('../native/build/frugal-cpu.node', import.meta.url));
const buildScript = fileURLToPath(new URL('../build.mjs', import.meta.url));

function unavailable(what: string, got: string, cause?: unknown): CpuBackendUnavailableError {
  return new CpuBackendUnavailableError({
    where: 'backend-cpu',
    what,
    got,
    hint: `Run "node ${buildScript}" with g++ or clang++ installed.`,
    cause,
  });
}

function load(): Addon | CpuBackendUnavailableError {
  if (process.env.FRUGAL_NATIVE === 'off') {
    return new CpuBackendUnavailableError({
      where: 'backend-cpu',
      what: 'native code is switched off',
      got: 'FRUGAL_NATIVE=off',
      hint: 'Unset FRUGAL_NATIVE to use the native kernels.',
    });
  }
  try {
    const addon = createRequire(import.meta.url)(addonPath) as Addon;
    if (addon.protocol === PROTOCOL) return addon;
    return unavailable(
      'the native addon is of another version',
      `protocol ${addon.protocol}, not ${PROTOCOL}`,
    );
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    return missing
      ? unavailable('the native addon has not been built', `no file ${addonPath}`)
      : unavailable('the native addon cannot be loaded', (cause as Error).message.split('\n')[0], cause);
  }
}

let loaded: Addon | CpuBackendUnavailableError | undefined;

/** @throws CpuBackendUnavailableError with the reason and what to run */
export function loadAddon(): Addon {
  loaded ??= load();
  if (loaded instanceof CpuBackendUnavailableError) throw loaded;
  return loaded;
}
