import { expect, it } from 'vitest';
import { describeInstallation } from './installation.js';

const prepared = {
  tensorflow: '2.18.1',
  folder: 'site-packages/tensorflow',
  cuda: '12.5.1',
  cudnn: '9',
  tfjs: '4.22.0',
};

it('names driver, memory, types, CUDA and TensorFlow', () => {
  const gpu = {
    name: 'Tesla T4',
    driver: '550.54.15',
    capability: 7.5,
    memoryBytes: 16e9,
    freeBytes: 15.5e9,
  };
  const [device, library, binding] = describeInstallation({
    gpus: [gpu],
    whyNoGpu: '',
    binding: 'tfjs_binding.node',
    prepared,
  });
  expect(device).toBe(
    'Tesla T4: driver 550.54.15, 15.5 GB of 16.0 GB free, compute capability 7.5 ' +
      '(no bf16 before compute capability 8.0: f16 on tensor cores, with a loss scale)',
  );
  expect(library).toContain('TensorFlow 2.18.1, built for CUDA 12.5.1, cuDNN 9');
  expect(binding).toBe('binding: tfjs_binding.node');
});

it('says what is missing', () => {
  const nothing = { gpus: [], whyNoGpu: 'no NVIDIA driver', binding: null, prepared: null };
  expect(describeInstallation(nothing)).toEqual([
    'no NVIDIA driver',
    'TensorFlow is not prepared: `frugal doctor --fix cuda` does it',
  ]);
  const wrongBuild = { ...nothing, binding: 'b.node', prepared: { ...prepared, cuda: null, cudnn: null } };
  expect(describeInstallation(wrongBuild)[1]).toContain('built for the processor only');
});
