import { describe, expect, it } from 'vitest';
import {
  cacheBytesOf,
  type Footprint,
  type Machine,
  type ModelShape,
  predictDeployment,
} from './deployment.js';

const shape: ModelShape = {
  parameters: 7e9,
  activeParameters: 7e9,
  layers: 32,
  cache: Array.from({ length: 32 }, () => ({ width: 2 * 4096, window: null })),
  attentionWidth: 4096,
};
const footprint: Footprint = {
  recipe: 'int8',
  bytes: 7e9,
  activeBytes: 7e9,
  compute: 'int8',
  cacheBytesPerNumber: 2,
};
const device = {
  name: 'cpu',
  memoryBytes: 16e9,
  readBytesPerSecond: 50e9,
  operationsPerSecond: { f32: 5e11, bf16: 1e12, int8: 2e12 },
};
const machine: Machine = { name: 'pc', devices: [device], pricePerHour: 0.1 };
const load = { context: 4096, streams: 1 };

describe('predictDeployment', () => {
  it('counts the cache as the model keeps it', () => {
    expect(cacheBytesOf(shape, footprint, 1)).toBe(524288); // Llama 2 7B: 512 KiB a token in f16
    const local = { ...shape, cache: shape.cache.map(({ width }) => ({ width, window: 1024 })) };
    expect(cacheBytesOf(local, footprint, 4096)).toBe(1024 * 524288);
  });

  it('never promises more than reading the weights allows, and is faster with more bandwidth', () => {
    const slow = predictDeployment(shape, footprint, machine, load);
    expect(slow.fits).toBe(true);
    expect(slow.decodeTokensPerSecond).toBeLessThan(50 / 7);
    const wide = { ...machine, devices: [{ ...device, readBytesPerSecond: 1e11 }] };
    expect(predictDeployment(shape, footprint, wide, load).decodeTokensPerSecond).toBeGreaterThan(
      slow.decodeTokensPerSecond,
    );
  });

  it('reads weights once for all streams, until products or caches are what takes time', () => {
    const short = { context: 128, streams: 1 };
    const [one, eight, many] = [1, 8, 4096].map((streams) =>
      predictDeployment(shape, footprint, machine, { ...short, streams }),
    );
    expect(eight.decodeTokensPerSecondInAll).toBeGreaterThan(6 * one.decodeTokensPerSecond);
    expect(many.decodeTokensPerSecondInAll).toBeLessThan(4096 * one.decodeTokensPerSecond * 0.5);
    expect(eight.costPerMillionTokens).toBeCloseTo((0.1 / 3600 / eight.decodeTokensPerSecondInAll) * 1e6, 9);
  });

  it('says what does not fit, and places layers on the fastest memory first', () => {
    const small = { ...machine, devices: [{ ...device, memoryBytes: 8e9 }] };
    expect(predictDeployment(shape, footprint, small, load).fits).toBe(false);
    const gpu = { ...device, name: 'gpu', memoryBytes: 4e9, readBytesPerSecond: 4e11 };
    const both = predictDeployment(shape, footprint, { ...small, devices: [small.devices[0], gpu] }, load);
    expect(both.fits).toBe(true);
    expect(both.layersByDevice[0] + both.layersByDevice[1]).toBe(32);
    expect(both.layersByDevice[1]).toBe(
      Math.floor((4e9 - 160e6) / ((7e9 + cacheBytesOf(shape, footprint, 4096)) / 32)),
    );
  });
});
