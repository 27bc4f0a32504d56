import { setTimeout as sleep } from 'node:timers/promises';
import { cpuBackend } from '@frugal/backend-cpu';
import { noGrad, Random, recordOps, scope } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { needsNative } from './native.js';

needsNative();

const backend = () => cpuBackend({ threads: 3, minimumWork: 0 });

describe('the thread pool', () => {
  it('takes no processor time while nothing is computed', async () => {
    const x = new Random(1).normal([200, 200], { backend: backend() });
    scope(() => void x.matmul(x));
    await sleep(50);
    const before = process.cpuUsage();
    await sleep(1000);
    const { user, system } = process.cpuUsage(before);
    // Microseconds; three spinning threads would take two million.
    expect(user + system).toBeLessThan(300_000);
    x.dispose();
  });

  it('gives the same bits when it is asked again after sleeping, and in recorded steps', async () => {
    const random = new Random(2);
    const x = random.normal([64, 64], { backend: backend() });
    const work = () => scope(() => x.matmul(x).softmax().matmul(x));
    const bytes = async (run: () => ReturnType<typeof work>) => {
      const made = run();
      return Buffer.from(await made.bytes()).toString('hex');
    };
    const expected = await bytes(work);
    const input = random.normal([1], { backend: backend() });
    const { recorded } = noGrad(() => recordOps([input], () => [work()]));
    for (let round = 0; round < 5; round++) {
      await sleep(3);
      expect(await bytes(work)).toBe(expected);
      expect(await bytes(() => recorded!.run([input])[0])).toBe(expected);
    }
    recorded!.dispose();
  });

  it('does not record what it cannot repeat', () => {
    const input = new Random(2).normal([4], { backend: backend() });
    const random = new Random(3);
    const draws = recordOps([input], () => [input.add(random.normal([4], { backend: backend() }))]);
    expect(draws.recorded).toBeNull();
    const nothing = recordOps([input], () => [input]);
    expect(nothing.recorded).toBeNull();
    const fine = recordOps([input], () => [input.add(1)]);
    expect(fine.recorded).not.toBeNull();
    fine.recorded?.dispose();
  });
});
