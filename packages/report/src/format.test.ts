import { describe, expect, it } from 'vitest';
import { formatBytes, formatChange, formatDuration, formatNumber } from './format.js';

describe('formatNumber', () => {
  it.each([
    [0, '0'],
    [-0, '0'],
    [7, '7'],
    [1515, '1,515'],
    [9999, '9,999'],
    [10_000, '10 k'],
    [2_480_000, '2.48 M'],
    [999_960, '1.00 M'],
    [999.96, '1.00 k'],
    [1e9, '1 G'],
    [3.456789, '3.46'],
    [0.0123456, '0.0123'],
    [-12.345, '−12.3'],
    [1.5e-8, '1.50e-8'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '−∞'],
  ])('%d → %s', (value, text) => expect(formatNumber(value)).toBe(text));

  it('writes fixed decimals in full', () => {
    expect(formatNumber(1234.5678, { decimals: 3 })).toBe('1,234.568');
    expect(formatNumber(-0.0001, { decimals: 2 })).toBe('0.00');
  });

  it('puts prefixes on units that have them, and beside those that have none', () => {
    expect(formatNumber(0.00312, { unit: 's' })).toBe('3.12 ms');
    expect(formatNumber(18_234, { unit: 'tok/s' })).toBe('18.2 k tok/s');
    expect(formatNumber(41.2e9, { unit: 'FLOP/s' })).toBe('41.2 GFLOP/s');
    expect(formatNumber(0.004, { unit: 'tok/s' })).toBe('0.00400 tok/s');
    expect(formatNumber(12_345, { unit: '%' })).toBe('12,300 %');
  });
});

describe('other quantities', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [9_920_000, '9.92 MB'],
    [5e12, '5 TB'],
  ])('%d bytes → %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it.each([
    [0.042, '42 ms'],
    [59.9, '59.9 s'],
    [74.2, '1 min 14 s'],
    [245, '4 min 05 s'],
    [3720, '1 h 02 min'],
    [Number.NaN, 'NaN'],
  ])('%d seconds → %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  it('shows changes with their sign', () => {
    expect(formatChange(200, 201)).toBe('+0.500 %');
    expect(formatChange(200, 100)).toBe('−50 %');
    expect(formatChange(200, 200)).toBe('0 %');
  });
});
