import { writeSync } from 'node:fs';
import type { Collective } from '@frugal/tensor-core';
import { TransportCollective } from '../transport-collective.js';
import { MpiTransport } from './transport.js';

/** One process of a job that `mpirun` started. */
export interface MpiJob {
  readonly collective: Collective;
  /** Leaves the job at its end; every rank must. */
  close(): void;
  /** Ends all ranks, with a message on standard error that says who did it and why. */
  abort(reason: string): void;
}

/**
 * Joins the job that `mpirun -np N` (Open MPI) has started this process for. Once in a process, from its main thread.
 * @throws TrainerError when this process was not started by `mpirun`, or Open MPI cannot be loaded
 */
export function joinMpiJob(): MpiJob {
  const transport = MpiTransport.open();
  return {
    collective: new TransportCollective(transport),
    close: () => transport.close(),
    abort(reason) {
      writeSync(2, `[rank ${transport.rank} of ${transport.size}] ends the job: ${reason}\n`);
      transport.abort();
    },
  };
}
