import { cpuBackend } from '@frugal/backend-cpu';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

describe.each(testedIsas)('%s', (isa) => {
  it.each([1, 2])('finds a peak for every kind of work (%i threads)', (threads) => {
    const backend = cpuBackend({ isa, threads, minimumWork: 0 });
    const before = backend.memoryUsage().liveBytes;
    const peaks = backend.measurePeaks({ readBytes: 2 ** 22 + 5 });
    for (const peak of [peaks.f32, peaks.bf16, peaks.int8, peaks.read]) {
      expect(peak).toBeGreaterThan(0);
      expect(peak).toBeLessThan(Number.POSITIVE_INFINITY);
    }
    expect(backend.memoryUsage().liveBytes).toBe(before);
  });
});
