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
  /** Gives back the pages of a range, with `cached` those of the page cache too; they come from the file again when touched. */
  discardPages(handle: object, offset: number, length: number, cached: boolean): void;
  /** Begins to read the pages of a range. */
  prefetchPages(handle: object, offset: number, length: number): void;
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
const PROTOCOL = 3;

const buildScript = fileURLToPath(new URL('../build.mjs', import.meta.url));

/** The package with the addon that was built for a platform; glibc is what Linux builds need. */
const platformPackage = `@frugal/backend-cpu-${process.platform}-${process.arch}`;

/** Where an addon may be: what was built here comes first, then the package of this platform. */
const addonPlaces = [
  fileURLToPath(new URL('../native/build/frugal-cpu.node', import.meta.url)),
  `${platformPackage}/frugal-cpu.node`,
];

function unavailable(what: string, got: string, hint: string, cause?: unknown): CpuBackendUnavailableError {
  return new CpuBackendUnavailableError({ where: 'backend-cpu', what, got, hint, cause });
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
  const require = createRequire(import.meta.url);
  let failure: CpuBackendUnavailableError | null = null;
  for (const place of addonPlaces) {
    const found = loadFrom(require, place);
    if (found && !(found instanceof CpuBackendUnavailableError)) return found;
    // An addon that is there and does not fit says more than one that is missing.
    failure ??= found;
  }
  return (
    failure ??
    unavailable(
      'there is no native addon',
      `neither one built here nor the package ${platformPackage}`,
      `Install that package, or run "node ${buildScript}" with g++ or clang++ installed.`,
    )
  );
}

/** The addon; null where there is none. */
function loadFrom(require: NodeJS.Require, place: string): Addon | CpuBackendUnavailableError | null {
  const hint = `Run "node ${buildScript}" with g++ or clang++ installed.`;
  try {
    const addon = require(place) as Addon;
    if (addon.protocol === PROTOCOL) return addon;
    const got = `protocol ${addon.protocol}, not ${PROTOCOL}, in ${place}`;
    return unavailable('the native addon is of another version', got, hint);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null;
    const [reason] = (cause as Error).message.split('\n');
    return unavailable('the native addon cannot be loaded', reason, hint, cause);
  }
}

let loaded: Addon | CpuBackendUnavailableError | undefined;

/** @throws CpuBackendUnavailableError with the reason and what to run */
export function loadAddon(): Addon {
  loaded ??= load();
  if (loaded instanceof CpuBackendUnavailableError) throw loaded;
  return loaded;
}
