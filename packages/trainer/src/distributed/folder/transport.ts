import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Collective } from '@frugal/tensor-core';
import { TrainerError } from '../../errors.js';
import type { Transport } from '../transport.js';
import { TransportCollective } from '../transport-collective.js';
import { openSession, writeWhole } from './session.js';

export interface FolderOptions {
  /** Seen by all ranks: a network drive, or a folder that something keeps in step. Made when it is not there. */
  readonly folder: string;
  readonly rank: number;
  readonly size: number;
  /** How long to wait for another rank. Default one hour. */
  readonly patienceSeconds?: number;
  /** How often to look for files. Default 200. */
  readonly pollMilliseconds?: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
}

/**
 * Ranks that exchange files in a folder: for local updates of machines that no MPI connects. Returns once all ranks
 * have come.
 * @throws TrainerError when one does not come in time, the signal's reason when it was aborted
 */
export async function folderCollective(options: FolderOptions): Promise<Collective> {
  const { rank, size } = options;
  if (!(Number.isInteger(size) && size > 0 && Number.isInteger(rank) && rank >= 0 && rank < size)) {
    throw new TrainerError({
      where: 'folder exchange',
      what: 'bad rank',
      got: `rank ${rank} of ${size}`,
      expected: '0 up to, but without, the number of ranks',
    });
  }
  const patience = new Patience(options);
  const session = await openSession({ ...options, waitFor: (what, look) => patience.waitFor(what, look) });
  return new TransportCollective(new FolderTransport(session, rank, size, patience));
}

/** A file `NUMBER.FROM.TO` per message, gone once nobody needs it. */
class FolderTransport implements Transport {
  private number = 0;

  constructor(
    private readonly session: string,
    readonly rank: number,
    readonly size: number,
    private readonly patience: Patience,
  ) {}

  async exchange(parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const number = this.number++;
    const others = parts.flatMap((_, other) => (other === this.rank ? [] : [other]));
    for (const to of others) await writeWhole(this.path(number, this.rank, to), parts[to]);
    const got = [...parts];
    for (const from of others) {
      const file = this.path(number, from, this.rank);
      got[from] = await this.patience.waitFor(`rank ${from}`, () => readIfThere(file));
      await rm(file, { force: true });
    }
    return got;
  }

  async broadcast(bytes: Uint8Array | null, _length: number, root: number): Promise<Uint8Array> {
    const own = bytes ?? new Uint8Array(0);
    return (await this.exchange(Array.from({ length: this.size }, () => own)))[root];
  }

  private path(number: number, from: number, to: number): string {
    return join(this.session, `${String(number).padStart(8, '0')}.${from}.${to}`);
  }
}

/** Looks for something until it is there, or it took too long. */
class Patience {
  constructor(private readonly options: FolderOptions) {}

  async waitFor<T>(what: string, look: () => Promise<T | null>): Promise<T> {
    const { patienceSeconds = 3600, pollMilliseconds = 200, signal, folder } = this.options;
    const started = performance.now();
    for (;;) {
      const found = await look();
      if (found !== null) return found;
      signal?.throwIfAborted();
      if (performance.now() - started > patienceSeconds * 1000) {
        throw new TrainerError({
          where: 'folder exchange',
          what: `${what} did not come`,
          got: `nothing in ${folder} for ${patienceSeconds} s`,
          hint: 'Look whether it still runs and sees the same folder; then start all ranks again with --resume.',
        });
      }
      await setTimeout(pollMilliseconds);
    }
  }
}

/** The file may come later, but once it is there it is whole. */
async function readIfThere(file: string): Promise<Uint8Array | null> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
}
