import { expect, it } from 'vitest';
import { parseGpus } from './gpu.js';

it('reads what nvidia-smi prints', () => {
  const csv = [
    'NVIDIA GeForce RTX 4090, 550.54.15, 8.9, 24564, 23800',
    'Tesla V100-SXM2-32GB, 550.54.15, 7.0, 32768, 32000',
    '',
  ].join('\n');
  expect(parseGpus(csv)).toEqual([
    {
      name: 'NVIDIA GeForce RTX 4090',
      driver: '550.54.15',
      capability: 8.9,
      memoryBytes: 24564 * 2 ** 20,
      freeBytes: 23800 * 2 ** 20,
    },
    {
      name: 'Tesla V100-SXM2-32GB',
      driver: '550.54.15',
      capability: 7,
      memoryBytes: 32768 * 2 ** 20,
      freeBytes: 32000 * 2 ** 20,
    },
  ]);
});

it('takes nothing from a message', () => {
  expect(parseGpus('NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.')).toEqual(
    [],
  );
});
