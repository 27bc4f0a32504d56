import { describe, expect, it } from 'vitest';
import {
  crossEntropy,
  memoryUsage,
  ones,
  resetPeakMemory,
  scope,
  tensor,
  withBackend,
  zeros,
} from '../index.js';
import { nullBackend } from './index.js';

describe('null backend', () => {
  it('computes shapes, gradients and memory, without memory', () => {
    const before = memoryUsage().bytes;
    resetPeakMemory();
    const gigabytes = withBackend(nullBackend(), () =>
      scope(() => {
        const weight = zeros([32000, 65536]).setRequiresGrad(true);
        const logits = ones([8192, 65536], { dtype: 'f32' }).matmul(weight.transpose());
        expect(logits.shape).toEqual([8192, 32000]);
        crossEntropy(logits, zeros([8192], { dtype: 'i32' }))
          .sum()
          .backward();
        expect(weight.grad!.shape).toEqual([32000, 65536]);
        weight.grad!.dispose();
        return (memoryUsage().peakBytes - before) / 2 ** 30;
      }),
    );
    expect(gigabytes).toBeGreaterThan(16);
    expect(memoryUsage().bytes).toBe(before);
  });

  it('still refuses wrong shapes', () => {
    withBackend(nullBackend(), () => {
      expect(() => ones([2, 3]).matmul(ones([2, 3]))).toThrow('[matmul] inner sizes differ');
    });
  });

  it('says that it has no values', async () => {
    await expect(tensor([1], { backend: nullBackend() }).item()).rejects.toThrow(
      '[null backend] its tensors have shapes but no values.',
    );
  });
});
