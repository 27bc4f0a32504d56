import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import {
  layoutGguf,
  layoutSafetensors,
  openTensors,
  type TensorInput,
  tensorInput,
} from '@frugal/checkpoint';
import { adoptStorage, fromStorage, releaseStorage } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';

const GIGABYTES = 6;
const VALUES = Float32Array.of(1.5, -2, 3);

/** Six gigabytes that nobody wrote, and behind them three numbers. */
const tensors: readonly TensorInput[] = [
  {
    name: 'far.weight',
    dtype: 'F32',
    shape: [GIGABYTES * 2 ** 18, 1024],
    bytes: () => Promise.reject(new Error('the hole is not written')),
  },
  tensorInput('last.weight', 'F32', [3], VALUES),
];

const layouts = {
  gguf: () => layoutGguf(tensors, { 'general.architecture': { type: 'string', value: 'llama' } }),
  safetensors: () => layoutSafetensors(tensors, {}),
};

describe('files beyond 4 GB', () => {
  it.each(['gguf', 'safetensors'] as const)(
    '%s: written, read and mapped at exact places',
    async (format) => {
      const folder = await mkdtemp(join(tmpdir(), 'frugal-large-'));
      try {
        const path = join(folder, `large.${format}`);
        const { header, offsets, byteLength } = layouts[format]();
        const file = await open(path, 'w');
        await file.truncate(byteLength);
        await file.write(header, 0, header.byteLength, 0);
        const bytes = new Uint8Array(VALUES.buffer);
        await file.write(bytes, 0, bytes.byteLength, offsets.get('last.weight') as number);
        await file.close();
        const { size, blocks } = await stat(path);
        expect(size).toBeGreaterThan(GIGABYTES * 2 ** 30);
        expect(blocks * 512).toBeLessThan(2 ** 22); // the hole takes no room
        const source = await openTensors(path);
        const entry = source.entries.get('last.weight');
        expect(entry?.byteOffset).toBeGreaterThan(GIGABYTES * 2 ** 30);
        expect(await source.read('last.weight')).toEqual(bytes);
        const end = (source.entries.get('far.weight')?.byteLength as number) - 8;
        expect([...(await source.readRange('far.weight', end, 8))]).toEqual(new Array(8).fill(0));
        await source.close();
        await expectMapped(path, entry?.byteOffset as number);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  );
});

/** Where there are native kernels: the same numbers through the mapped file. */
async function expectMapped(path: string, byteOffset: number): Promise<void> {
  try {
    const storage = adoptStorage(cpuBackend().mapFile(path));
    const tensor = fromStorage(storage, byteOffset, { shape: [3], dtype: 'f32' });
    expect(await tensor.toFloat32()).toEqual(VALUES);
    tensor.dispose();
    releaseStorage(storage);
  } catch (error) {
    if (!(error instanceof CpuBackendUnavailableError)) throw error;
  }
}
