import { describe, expect, it } from 'vitest';
import {
  byteLengthOf,
  DTYPES,
  elementCount,
  isBlockDType,
  isDType,
  isPlainDType,
  layoutOf,
} from './dtypes.js';

describe('dtypes', () => {
  it('knows what it lists', () => {
    for (const dtype of DTYPES) {
      expect(isDType(dtype)).toBe(true);
      expect(isPlainDType(dtype)).toBe(!isBlockDType(dtype));
      expect(layoutOf(dtype).bytes).toBeGreaterThan(0);
    }
    for (const name of ['f32', 'toString', '__proto__', '']) expect(isDType(name)).toBe(false);
  });

  it('counts elements without overflow', () => {
    expect(elementCount([])).toBe(1);
    expect(elementCount([3, 0, 5])).toBe(0);
    expect(elementCount([2 ** 26, 2 ** 26])).toBe(2 ** 52);
    expect(elementCount([2 ** 27, 2 ** 27])).toBeUndefined();
    for (const bad of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
      expect(elementCount([bad])).toBeUndefined();
  });

  it('counts bytes of plain, sub-byte and block dtypes', () => {
    expect(byteLengthOf('F32', [3, 5])).toBe(60);
    expect(byteLengthOf('BF16', [])).toBe(2);
    expect(byteLengthOf('F4', [3, 2])).toBe(3);
    expect(byteLengthOf('F4', [3])).toBeUndefined();
    expect(byteLengthOf('F6_E2M3', [2, 4])).toBe(6);
    expect(byteLengthOf('Q4_K', [3, 512])).toBe(3 * 2 * 144);
    expect(byteLengthOf('Q8_0', [32, 16])).toBeUndefined(); // a row is no whole block, though all rows together are
    expect(byteLengthOf('F64', [2 ** 51])).toBeUndefined();
  });
});
