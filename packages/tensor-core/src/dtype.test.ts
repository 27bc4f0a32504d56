import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { bf16ToFloat, f16ToFloat, floatToBf16, floatToF16 } from './dtype.js';

interface Fixture {
  readonly rounding: readonly { float32: number; bf16: number; f16: number; what?: string }[];
  readonly nans: readonly number[];
  readonly widening: readonly { bits: number; fromBf16: number; fromF16: number }[];
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../oracles/fixtures/bf16.json', import.meta.url), 'utf8'),
);
const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function fromBits(bits: number): number {
  word[0] = bits;
  return float[0];
}

function toBits(value: number): number {
  float[0] = value;
  return word[0];
}

const formats = [
  { name: 'bf16', round: floatToBf16, widen: bf16ToFloat, infinity: 0x7f80 },
  { name: 'f16', round: floatToF16, widen: f16ToFloat, infinity: 0x7c00 },
] as const;

describe.each(formats)('$name', ({ name, round, widen, infinity }) => {
  it('keeps all 65536 values through f32 and back', () => {
    const changed: number[] = [];
    for (let bits = 0; bits < 65536; bits++) {
      const isNaNBits = (bits & 0x7fff) > infinity;
      const back = round(widen(bits));
      if (isNaNBits ? !Number.isNaN(widen(bits)) || (back & 0x7fff) <= infinity : back !== bits)
        changed.push(bits);
    }
    expect(changed).toEqual([]);
  });

  it('rounds the middle between any two neighbours to the even one, and numbers beside it to the nearer', () => {
    const wrong: number[] = [];
    for (let low = 0; low < infinity - 1; low++) {
      const [a, b] = [widen(low), widen(low + 1)];
      const middle = (a + b) / 2; // exact in f32, of which both use only the upper half of the bits
      const even = low % 2 === 0 ? low : low + 1;
      const [below, above] = [fromBits(toBits(middle) - 1), fromBits(toBits(middle) + 1)];
      const good = round(middle) === even && round(below) === low && round(above) === low + 1;
      if (!good || round(-middle) !== (even | 0x8000)) wrong.push(low);
    }
    expect(wrong).toEqual([]);
  });

  it('rounds as PyTorch does', () => {
    for (const { float32, what, ...expected } of fixture.rounding) {
      expect({ what, bits: round(fromBits(float32)) }).toEqual({ what, bits: expected[name] });
    }
  });

  it('widens as PyTorch does', () => {
    const field = name === 'bf16' ? 'fromBf16' : 'fromF16';
    for (const vector of fixture.widening) expect(toBits(widen(vector.bits))).toBe(vector[field]);
  });

  it('keeps NaN', () => {
    for (const bits of fixture.nans) expect(round(fromBits(bits)) & 0x7fff).toBeGreaterThan(infinity);
  });
});
