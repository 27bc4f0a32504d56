import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpuBackend } from '@frugal/backend-cpu';
import {
  bytesPerElement,
  contiguousStrides,
  fromBytes,
  type Shape,
  type Storage,
  scope,
  Tensor,
  tensor,
} from '@frugal/tensor-core';
import { afterAll, describe, expect, it } from 'vitest';
import { needsNative } from './native.js';

needsNative();

const folder = mkdtempSync(join(tmpdir(), 'frugal-cpu-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('pool', () => {
  it('gives freed memory to the next tensor of the same size class', () => {
    const backend = cpuBackend();
    const addresses = new Set<number>();
    for (let i = 0; i < 50; i++) {
      const storage = backend.allocate(100_000 + i) as Storage & { readonly address: number };
      addresses.add(storage.address);
      expect(storage.address % 64).toBe(0);
      backend.free(storage);
    }
    expect(addresses.size).toBe(1);
  });

  it('allocates nothing new when a loop repeats its sizes', () => {
    const backend = cpuBackend();
    const x = tensor(new Float32Array(50_000).fill(1), { backend });
    const step = () => scope(() => void x.mul(2).add(x).sum().add(1));
    step();
    const before = backend.memoryUsage();
    for (let i = 0; i < 100; i++) step();
    expect(backend.memoryUsage()).toEqual(before);
    x.dispose();
  });

  it('keeps at most as much free memory as was ever in use, or 64 MiB', () => {
    const backend = cpuBackend();
    const limit = () => Math.max(backend.memoryUsage().peakBytes, 64 * 2 ** 20);
    for (let i = 1; i < 60; i++) {
      const storages = Array.from({ length: 3 }, () => backend.allocate(i * 1_000_000));
      for (const storage of storages) backend.free(storage);
      expect(backend.memoryUsage().freeBytes).toBeLessThanOrEqual(limit());
    }
  });
});

describe('mapFile', () => {
  /** A tensor over mapped memory, as a checkpoint reader makes it. */
  function mappedTensor(storage: Storage, shape: Shape, byteOffset: number): Tensor {
    return new Tensor(storage, shape, contiguousStrides(shape), byteOffset / bytesPerElement('f32'), 'f32');
  }

  it('computes on a file without reading it first', async () => {
    const path = join(folder, 'weights.bin');
    writeFileSync(path, new Uint8Array(Float32Array.from({ length: 20 }, (_, i) => i).buffer));
    const backend = cpuBackend();
    const storage = backend.mapFile(path);
    expect(storage.byteLength).toBe(80);
    const weight = mappedTensor(storage, [2, 3], 16);
    const x = tensor([[1, 2, 3]], { backend });
    expect(Array.from(await x.matmul(weight.transpose()).toFloat32())).toEqual([32, 50]);
    expect(Array.from(await weight.toFloat32())).toEqual([4, 5, 6, 7, 8, 9]);
    expect(Array.from(await weight.transpose().toFloat32())).toEqual([4, 7, 5, 8, 6, 9]);
  });

  it('gives pages back, and reads them again when they are touched', async () => {
    const path = join(folder, 'discarded.bin');
    writeFileSync(
      path,
      Float32Array.from({ length: 50_000 }, (_, i) => i),
    );
    const storage = cpuBackend().mapFile(path);
    const weight = mappedTensor(storage, [50_000], 0);
    const before = await weight.toFloat32();
    storage.discard?.(0, storage.byteLength);
    expect(await weight.toFloat32()).toEqual(before);
    storage.discard?.(0, storage.byteLength, { cached: true });
    storage.prefetch?.(4096, 100_000);
    expect(await weight.toFloat32()).toEqual(before);
    expect(() => storage.discard?.(1000, storage.byteLength)).toThrow(/inside the file/);
    expect(() => storage.prefetch?.(1000, storage.byteLength)).toThrow(/inside the file/);
  });

  it('maps an empty file', () => {
    const path = join(folder, 'empty.bin');
    writeFileSync(path, '');
    expect(cpuBackend().mapFile(path).byteLength).toBe(0);
  });

  it('says which file cannot be opened', () => {
    expect(() => cpuBackend().mapFile(join(folder, 'missing.bin'))).toThrow(
      /\[mapFile\] .*missing\.bin: No such file/,
    );
  });
});

describe('reading', () => {
  it('copies slices and transposed views of every element size', async () => {
    const backend = cpuBackend();
    for (const dtype of ['f32', 'bf16', 'u8'] as const) {
      const bytes = Uint8Array.from({ length: 12 * bytesPerElement(dtype) }, (_, i) => i);
      const x = fromBytes(bytes, { shape: [3, 4], dtype, backend });
      const column = await x.slice(1, 2, 3).bytes();
      const size = bytesPerElement(dtype);
      const expected = [2, 6, 10].flatMap((i) => Array.from(bytes.subarray(i * size, (i + 1) * size)));
      expect(Array.from(column)).toEqual(expected);
    }
  });
});
