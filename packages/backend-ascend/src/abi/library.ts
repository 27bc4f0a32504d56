import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { LibraryHandle } from 'koffi';
import { AscendUnavailableError } from '../errors.js';
import type { Installation } from '../installation.js';

/** The runtime and the descriptors, in the order in which they need one another. */
const BASE = ['libascendcl.so', 'libnnopbase.so'];
/** Ops since CANN 8.5; all that are there are loaded. */
const SPLIT = ['libopapi_math.so', 'libopapi_nn.so', 'libopapi_transformer.so'];
/** Ops up to CANN 8.x. Must not be loaded beside the split ones. */
const WHOLE = 'libopapi.so';

/** A function of CANN: pointers are bigints, null for none. */
// biome-ignore lint/suspicious/noExplicitAny: results are as the declaration says, which the compiler does not see
export type CFunction = (...inputs: unknown[]) => any;

/** The C functions of CANN, by name. */
export class Libraries {
  constructor(
    private readonly loaded: readonly LibraryHandle[],
    /** Files that were loaded. */
    readonly files: readonly string[],
  ) {}

  /** @throws AscendUnavailableError when no library has it */
  function(name: string, result: string, parameters: readonly string[]): CFunction {
    const found = this.find(name, result, parameters);
    if (found) return found;
    throw new AscendUnavailableError({
      where: 'ascend backend',
      what: 'a function is missing in these libraries',
      got: `no ${name} in ${this.files.join(', ')}`,
      hint: 'Install CANN 8.1 or newer, with its ops package (opp) and the kernels for this NPU.',
    });
  }

  find(name: string, result: string, parameters: readonly string[]): CFunction | null {
    for (const library of this.loaded) {
      try {
        return library.func(name, result, [...parameters]);
      } catch {
        // Not in this one: koffi has no other way to ask.
      }
    }
    return null;
  }
}

/** Names of the libraries that a folder must have, the ops as they are laid out there. */
export function libraryNames(folder: string): readonly string[] {
  const split = SPLIT.filter((name) => existsSync(join(folder, name)));
  return [...BASE, ...(split.length > 0 ? split : [WHOLE])];
}

/**
 * Loads CANN by absolute paths: LD_LIBRARY_PATH is read when a process starts, and libraries that are loaded already are
 * found by their names.
 * @throws AscendUnavailableError with the file and what the system's loader said
 */
export function openLibraries({ libraries: folder }: Installation): Libraries {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const files = libraryNames(folder).map((name) => join(folder, name));
  const loaded = files.map((file) => {
    try {
      return koffi.load(file, { lazy: true, global: true });
    } catch (cause) {
      throw new AscendUnavailableError({
        where: 'ascend backend',
        what: `${file} cannot be loaded`,
        got: (cause as Error).message,
        hint: existsSync(file)
          ? hintFor((cause as Error).message, folder)
          : 'Install the toolkit and the ops package of CANN 8.1 or newer: this one is not whole.',
        cause,
      });
    }
  });
  return new Libraries(loaded, files);
}

function hintFor(said: string, folder: string): string {
  if (/libascend_hal|libdrv|driver/.test(said))
    return 'The driver is missing: install the NPU driver and firmware, or give the container /usr/local/Ascend/driver.';
  if (/No such file|cannot open shared object/.test(said))
    return `Run \`source ${join(folder, '..', 'set_env.sh')}\` before Node starts: it tells the system where CANN's other libraries lie.`;
  return 'Is this CANN made for the processor and the libc of this machine? It needs glibc.';
}
