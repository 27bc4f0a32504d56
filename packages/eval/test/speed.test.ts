import { PackedTensor } from '@frugal/tensor-core';
import { PackedLinear } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { countParameters, measureSpeed } from '../src/index.js';
import { tinyModel } from './support/tiny.js';

describe('measureSpeed', () => {
  it('measures prefill and decode of one stream', async () => {
    const speed = await measureSpeed(tinyModel(), { promptTokens: 8, newTokens: 4, repeats: 3 });
    expect(speed).toMatchObject({ promptTokens: 8, newTokens: 4, repeats: 3 });
    for (const { low, median, high } of [speed.prefillTokensPerSecond, speed.decodeTokensPerSecond]) {
      expect(low).toBeGreaterThan(0);
      expect(low).toBeLessThanOrEqual(median);
      expect(median).toBeLessThanOrEqual(high);
      expect(high).toBeLessThan(Number.POSITIVE_INFINITY);
    }
  });

  it('fits its defaults into a small context', async () => {
    const { promptTokens, newTokens } = await measureSpeed(tinyModel(), { repeats: 1 });
    expect([promptTokens, newTokens]).toEqual([16, 16]);
  });

  it.each([{ promptTokens: 0 }, { newTokens: 1 }, { repeats: 0.5 }])('refuses %j', async (options) => {
    await expect(measureSpeed(tinyModel(), options)).rejects.toThrow(/^\[measureSpeed\]/);
  });
});

describe('countParameters', () => {
  // Embedding 257·16, per layer 4·16² of attention, 3·16·24 of MLP and two norms, and the last norm.
  const expected = 257 * 16 + 2 * (4 * 16 ** 2 + 3 * 16 * 24 + 2 * 16) + 16;

  it('counts the tied embedding once', () => expect(countParameters(tinyModel())).toBe(expected));

  it('counts packed weights as what they stand for', async () => {
    const model = tinyModel();
    const gate = model.module('blocks.0.mlp.gate') as PackedLinear;
    const weight = PackedTensor.pack('int8-channel', await gate.effectiveWeight().toFloat32(), [24, 16]);
    model.replace('blocks.0.mlp.gate', new PackedLinear(weight));
    expect(countParameters(model)).toBe(expected);
  });
});
