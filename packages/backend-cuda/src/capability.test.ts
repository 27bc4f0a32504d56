import { describe, expect, it } from 'vitest';
import { factsOfCapability } from './capability.js';

describe('dtypes by compute capability', () => {
  it.each([
    ['Pascal', 6.1, 'f32', false],
    ['V100', 7.0, 'f16', false],
    ['Turing', 7.5, 'f16', false],
    ['A100', 8.0, 'bf16', true],
    ['RTX 4090', 8.9, 'bf16', true],
    ['H100', 9.0, 'bf16', true],
    ['Blackwell', 12.0, 'bf16', true],
  ])('%s (%d) multiplies in %s', (_, capability, preferred, bf16) => {
    const facts = factsOfCapability(capability);
    expect(facts?.preferred).toBe(preferred);
    expect(facts?.dtypes.includes('bf16')).toBe(bf16);
    expect(facts?.dtypes).toContain('f16');
    expect(facts?.lossScale).toBe(preferred === 'f16');
  });

  it('knows devices that have no kernels', () => {
    expect(factsOfCapability(5.2)).toBeNull();
    expect(factsOfCapability(Number.NaN)).toBeNull();
  });
});
