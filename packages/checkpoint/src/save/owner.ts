import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Temporary folders carry in their names who made them, so that a later save can tell the leftovers of a dead
 * process from the work of a living one: host, process id, start time of the process (ids are used again), and a
 * random part.
 */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  readonly started: string;
}

/** `host-pid-started-random` of this process; matches {@link OWNER_PATTERN}. */
export function ownerTag(): string {
  return `${HOST}-${process.pid}-${startTime(process.pid) ?? '0'}-${randomBytes(4).toString('hex')}`;
}

/** Text of a regular expression with the groups host, pid, started. */
export const OWNER_PATTERN = '([0-9a-f]{8})-(\\d+)-(\\d+)-[0-9a-f]{8}';

/** Whether the owner still runs: undefined when that cannot be known (another machine). */
export function isAlive({ host, pid, started }: Owner): boolean | undefined {
  if (host !== HOST) return undefined;
  if (pid === process.pid) return started === (startTime(pid) ?? '0');
  try {
    process.kill(pid, 0); // signal 0 only asks
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
  const now = startTime(pid);
  return now === undefined || started === '0' || now === started;
}

const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

/** When a process started, in ticks since boot; undefined where the system does not tell (outside of Linux). */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]; // field 22; the name before it may hold spaces
  } catch {
    return undefined;
  }
}
