import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { ArgumentError } from '@frugal/tensor-core';

/** Physical cores that this process may use: two hardware threads of a core share the units that kernels keep busy. */
function physicalCores(): number {
  const usable = availableParallelism();
  try {
    const cores = new Set<string>();
    for (let cpu = 0; ; cpu++) {
      try {
        cores.add(
          readFileSync(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`, 'utf8').trim(),
        );
      } catch {
        break;
      }
    }
    return cores.size > 0 ? Math.min(cores.size, usable) : usable;
  } catch {
    return usable;
  }
}

/**
 * Threads that kernels use: `FRUGAL_THREADS`, or one per physical core.
 * @throws ArgumentError when FRUGAL_THREADS is not a positive integer
 */
export function defaultThreads(): number {
  const wish = process.env.FRUGAL_THREADS;
  if (wish === undefined || wish === '') return physicalCores();
  return checkThreads(Number(wish), 'FRUGAL_THREADS');
}

export function checkThreads(threads: number, where: string): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= 1024) return threads;
  throw new ArgumentError({
    where,
    what: 'not a number of threads',
    got: String(threads),
    expected: 'an integer from 1 to 1024',
  });
}
