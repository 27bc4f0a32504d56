import { setImmediate, setTimeout } from 'node:timers/promises';
import { TrainerError } from '../../errors.js';
import type { Transport } from '../transport.js';
import { loadMpi, type MpiFunctions, mpiLaunch } from './library.js';

/** Calls come from the main thread alone. */
const FUNNELED = 1;
/** The largest message: counts are 32-bit numbers. */
const PIECE = 2 ** 30;
/** Milliseconds of waiting for other ranks before the processor is left to others in between. */
const PATIENCE = 0.2;

/** The processes that `mpirun` of Open MPI has started. Waits without blocking the event loop, and without using a core. */
export class MpiTransport implements Transport {
  readonly rank: number;
  readonly size: number;
  private isOpen = true;

  private constructor(private readonly mpi: MpiFunctions) {
    const value = new Int32Array(1);
    this.check(mpi.rank(value));
    this.rank = value[0];
    this.check(mpi.size(value));
    this.size = value[0];
  }

  /** @throws TrainerError when this process was not started by `mpirun`, or Open MPI cannot be loaded */
  static open(environment: NodeJS.ProcessEnv = process.env): MpiTransport {
    const launch = mpiLaunch(environment);
    if (!launch) {
      throw new TrainerError({
        where: 'mpi',
        what: 'this process was not started by mpirun',
        hint: 'Start it with mpirun -np N, of Open MPI.',
      });
    }
    const mpi = loadMpi(environment);
    const provided = new Int32Array(1);
    const code = mpi.init(FUNNELED, provided);
    if (code !== 0 || provided[0] < FUNNELED) {
      const got = code === 0 ? `thread level ${provided[0]}` : `error ${code}`;
      throw new TrainerError({ where: 'mpi', what: 'MPI_Init_thread failed', got });
    }
    mpi.returnErrors();
    const transport = new MpiTransport(mpi);
    if (transport.size !== launch.size) {
      throw new TrainerError({
        where: 'mpi',
        what: 'mpirun and the library are of different installations of Open MPI',
        got: `${transport.size} ranks`,
        expected: `${launch.size}`,
        hint: 'Set FRUGAL_MPI_LIBRARY to the libmpi.so.40 that belongs to mpirun.',
      });
    }
    return transport;
  }

  async exchange(parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const { rank, size } = this;
    const lengths = BigInt64Array.from(parts, ({ byteLength }) => BigInt(byteLength));
    const expected = new BigInt64Array(size);
    await this.finish(1, (request) => this.mpi.exchangeLengths(lengths, expected, request), true);
    const got = parts.map((part, other) => (other === rank ? part : new Uint8Array(Number(expected[other]))));
    const messages = parts.flatMap((part, other) =>
      other === rank
        ? []
        : [
            ...piecesOf(got[other]).map((piece) => ({ call: this.mpi.receive, piece, other })),
            ...piecesOf(part).map((piece) => ({ call: this.mpi.send, piece, other })),
          ],
    );
    const { length } = messages;
    await this.finish(length, (request, i) =>
      messages[i].call(messages[i].piece, messages[i].other, request),
    );
    return got;
  }

  async broadcast(bytes: Uint8Array | null, length: number, root: number): Promise<Uint8Array> {
    // Who waits here for the root must not keep it from its core.
    await this.finish(1, (request) => this.mpi.barrier(request), true);
    const all = bytes ?? new Uint8Array(length);
    const pieces = piecesOf(all);
    await this.finish(pieces.length, (request, i) => this.mpi.broadcast(pieces[i], root, request));
    return all;
  }

  /** Leaves the job: all ranks must do so, and call nothing afterwards. */
  close(): void {
    if (this.isOpen) this.check(this.mpi.finalize());
    this.isOpen = false;
  }

  /** Ends the processes of all ranks, this one included. */
  abort(code = 1): void {
    if (this.isOpen) this.mpi.abort(code);
  }

  /** Starts `count` requests and waits for them; `isMeeting`: others may come late. */
  private async finish(
    count: number,
    start: (request: BigInt64Array, index: number) => number,
    isMeeting = false,
  ): Promise<void> {
    if (count === 0) return;
    const requests = new BigInt64Array(count);
    for (let i = 0; i < count; i++) this.check(start(requests.subarray(i, i + 1), i));
    const done = new Int32Array(1);
    const started = performance.now();
    for (;;) {
      this.check(this.mpi.testAll(requests, done));
      if (done[0]) return;
      // Data move only while somebody asks for them.
      if (isMeeting && performance.now() - started > PATIENCE) await setTimeout(1);
      else await setImmediate();
    }
  }

  private check(code: number): void {
    if (code === 0) return;
    throw new TrainerError({
      where: `rank ${this.rank}`,
      what: 'MPI failed',
      got: this.mpi.errorText(code),
      hint: 'Look for what happened to the other ranks, then start the job again with --resume.',
    });
  }
}

function piecesOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.ceil(bytes.byteLength / PIECE);
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * PIECE, (i + 1) * PIECE));
}
