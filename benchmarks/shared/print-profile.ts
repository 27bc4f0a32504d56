import type { OpProfile } from '@frugal/tensor-core';

/** Where the time went, by op. */
export function printProfile(ops: readonly OpProfile[]): void {
  const total = ops.reduce((sum, { seconds }) => sum + seconds, 0);
  for (const { op, calls, seconds } of ops) {
    console.log(
      `${op.padEnd(24)} ${String(calls).padStart(6)} calls ${(1000 * seconds).toFixed(1).padStart(9)} ms ${((100 * seconds) / total).toFixed(1).padStart(5)} %`,
    );
  }
}
