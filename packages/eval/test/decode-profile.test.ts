import { expect, it } from 'vitest';
import { profileDecode } from '../src/index.js';
import { tinyModel } from './support/tiny.js';

it('tells where the time of a new token goes, op by op where steps are not recorded', async () => {
  const { kernels, outsideKernels, secondsPerToken, replayed } = await profileDecode(tinyModel(), {
    promptTokens: 6,
    newTokens: 3,
  });
  expect(replayed).toBe(false);
  expect(outsideKernels).toBeGreaterThan(0);
  expect(outsideKernels).toBeLessThan(1);
  const inside = kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  expect(inside + outsideKernels * secondsPerToken).toBeCloseTo(secondsPerToken, 6);
  expect(kernels.find(({ op }) => op === 'cachedAttention')!.calls).toBe(2); // one per layer
});
