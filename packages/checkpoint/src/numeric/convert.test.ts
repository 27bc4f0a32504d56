import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fixture } from '../../test/support.js';
import { ConversionError } from '../errors.js';
import { openTensors } from '../open-tensors.js';
import { fromFloat32, type NumericDType, toFloat32, typedArrayOf } from './convert.js';

const FLOATS = ['F16', 'BF16', 'F8_E4M3', 'F8_E5M2', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'F8_E8M0'] as const;

function everyCode(dtype: (typeof FLOATS)[number]): Uint8Array {
  if (dtype.startsWith('F8')) return Uint8Array.from({ length: 256 }, (_, code) => code);
  return new Uint8Array(Uint16Array.from({ length: 65536 }, (_, code) => code).buffer);
}

describe.each(FLOATS)('%s', (dtype) => {
  it('keeps every code, NaN payloads included, on the way to f32 and back', () => {
    const codes = everyCode(dtype);
    const back = fromFloat32(toFloat32(codes, dtype), dtype);
    expect(Buffer.compare(back, codes)).toBe(0);
  });

  it('gives every code the value that the reference gives it', () => {
    const values = toFloat32(everyCode(dtype), dtype);
    const bits = new Uint32Array(values.buffer).map((word, i) =>
      Number.isNaN(values[i]) ? 0x7fc00000 : word,
    );
    const expected = JSON.parse(readFileSync(fixture('casts.json'), 'utf8')) as Record<string, string>;
    expect(createHash('sha256').update(bits).digest('hex')).toBe(expected[dtype]);
  });

  it('rounds as the reference does', async () => {
    const casts = await openTensors(fixture('casts.safetensors'));
    const values = toFloat32(await casts.read(`${dtype}.values`), 'F32');
    const expected = toFloat32(await casts.read(`${dtype}.codes`), dtype);
    const actual = toFloat32(fromFloat32(values, dtype), dtype);
    const wrong: string[] = [];
    for (let i = 0; i < values.length; i++) {
      if (!Object.is(actual[i], expected[i])) wrong.push(`${values[i]} → ${actual[i]}, not ${expected[i]}`);
    }
    expect(wrong).toEqual([]);
    expect(values.length).toBeGreaterThan(100);
    await casts.close();
  });
});

describe('fromFloat32', () => {
  it('saturates when asked to', () => {
    const large = Float32Array.of(1e9, -1e9, Number.POSITIVE_INFINITY, 1);
    const saturated = (dtype: NumericDType) => [
      ...toFloat32(fromFloat32(large, dtype, { saturate: true }), dtype),
    ];
    expect(saturated('F8_E4M3')).toEqual([448, -448, 448, 1]);
    expect(saturated('F8_E5M2')).toEqual([57344, -57344, 57344, 1]);
    expect(saturated('F8_E4M3FNUZ')).toEqual([240, -240, 240, 1]);
    expect(saturated('F16')).toEqual([65504, -65504, 65504, 1]);
    expect([...toFloat32(fromFloat32(large, 'F8_E4M3'), 'F8_E4M3')].slice(0, 2)).toEqual([
      Number.NaN,
      Number.NaN,
    ]);
    expect([...toFloat32(fromFloat32(large, 'F16'), 'F16')].slice(0, 2)).toEqual([1 / 0, -1 / 0]);
  });

  it('rounds integers to the even neighbour and refuses what does not fit', () => {
    const values = Float32Array.of(0.5, 1.5, -0.5, -1.5, 2.4999, 127);
    expect([...typedArrayOf(fromFloat32(values, 'I8'), 'I8')]).toEqual([0, 2, 0, -2, 2, 127]);
    expect([...typedArrayOf(fromFloat32(Float32Array.of(-(2 ** 63)), 'I64'), 'I64')]).toEqual([-(2n ** 63n)]);
    expect(() => fromFloat32(Float32Array.of(1, 128), 'I8')).toThrow(
      /element 1.*got 128; expected -128 to 127/,
    );
    for (const [value, dtype] of [
      [-1, 'U8'],
      [2 ** 31, 'I32'],
      [2 ** 32, 'U32'],
      [2 ** 63, 'I64'],
      [2 ** 64, 'U64'],
      [Number.NaN, 'I32'],
      [1 / 0, 'U64'],
    ] as const) {
      expect(() => fromFloat32(Float32Array.of(value), dtype)).toThrow(ConversionError);
    }
  });

  it('makes booleans', () => {
    expect([...fromFloat32(Float32Array.of(0, -0, 0.1, -3, Number.NaN), 'BOOL')]).toEqual([0, 0, 1, 1, 1]);
  });
});

describe('toFloat32', () => {
  it('rounds 64-bit integers once', async () => {
    const casts = await openTensors(fixture('casts.safetensors'));
    const actual = toFloat32(await casts.read('I64.values'), 'I64');
    expect([...actual]).toEqual([...toFloat32(await casts.read('I64.f32'), 'F32')]);
    const top = new Uint8Array(BigUint64Array.of(2n ** 64n - 1n, 2n ** 63n + 2n ** 39n + 1n).buffer);
    expect([...toFloat32(top, 'U64')]).toEqual([2 ** 64, 2 ** 63 + 2 ** 40]);
    await casts.close();
  });

  it('reads bytes at odd positions, also of a Buffer', () => {
    const values = Float32Array.of(1.5, -2.25);
    const shifted = Buffer.alloc(9);
    shifted.set(new Uint8Array(values.buffer), 1);
    expect([...toFloat32(shifted.subarray(1), 'F32')]).toEqual([1.5, -2.25]);
    expect([...toFloat32(new Uint8Array(Float64Array.of(0.1).buffer), 'F64')]).toEqual([Math.fround(0.1)]);
  });

  it('refuses halves of elements and packed formats', () => {
    expect(() => toFloat32(new Uint8Array(3), 'F16')).toThrow(/3 bytes; expected a multiple of 2/);
    expect(() => toFloat32(new Uint8Array(18), 'Q4_0')).toThrow(/Unpack it/);
    expect(() => fromFloat32(new Float32Array(2), 'F4')).toThrow(ConversionError);
  });
});
