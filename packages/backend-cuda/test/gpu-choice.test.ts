import { afterEach, describe, expect, it, vi } from 'vitest';
import { pretendGpu } from './fake-gpu.js';
import { needsTensorFlow } from './tensorflow.js';

needsTensorFlow();

let leave = () => {};
afterEach(() => leave());

/** The backend of a fresh process on a machine with this GPU. */
async function openOn(name: string, capability: string) {
  leave = pretendGpu(name, capability);
  vi.resetModules();
  return (await import('@frugal/backend-cuda')).cudaBackend();
}

describe('the dtypes of a GPU follow from its compute capability', () => {
  it.each([
    ['Tesla P100-PCIE-16GB', '6.0', 'f32', false],
    ['Tesla V100-SXM2-16GB', '7.0', 'f16', false],
    ['Tesla T4', '7.5', 'f16', false],
    ['NVIDIA GeForce RTX 4090', '8.9', 'bf16', true],
    ['NVIDIA H100 80GB HBM3', '9.0', 'bf16', true],
  ])('%s', async (name, capability, preferred, bf16) => {
    const { capabilities, description } = await openOn(name, capability);
    expect(description).toContain(`${name}, driver 535.183.01`);
    expect(capabilities.preferred).toBe(preferred);
    expect(capabilities.dtypes.has('bf16')).toBe(bf16);
    expect(capabilities.dtypes.has('f16')).toBe(true);
  });

  it('refuses one that TensorFlow has no kernels for', async () => {
    await expect(openOn('NVIDIA GeForce GTX 980', '5.2')).rejects.toThrow(
      /this GPU is too old: got NVIDIA GeForce GTX 980, compute capability 5.2.*Use the cpu backend/,
    );
  });
});

it('names op, dtype and shapes where a GPU has no such dtype', async () => {
  const backend = await openOn('Tesla V100-SXM2-16GB', '7.0');
  const { ones } = await import('@frugal/tensor-core');
  const x = ones([2, 3], { backend });
  expect(() => x.cast('bf16')).toThrow(
    /\[cast\] the cuda backend has no bf16: got f32 \[2, 3\] to bf16 \[2, 3\]; expected f32, f16/,
  );
  expect(() => ones([2], { backend, dtype: 'bf16' })).toThrow(/the cuda backend has no bf16/);
  x.dispose();
});
