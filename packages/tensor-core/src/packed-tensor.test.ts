import { describe, expect, it } from 'vitest';
import { ones, tensor } from './creation.js';
import { ArgumentError, ShapeError } from './errors.js';
import {
  int8Channel,
  type PackedFormat,
  packedFormat,
  packedFormatNames,
  registerPackedFormat,
  roundHalfEven,
} from './formats/index.js';
import { uniformStream } from './gradcheck.js';
import { expectNoLeaks } from './memory.js';
import { PackedTensor } from './packed-tensor.js';
import { quantizeRows } from './reference/packed.js';

const next = uniformStream(1);
const random = (size: number) => Float32Array.from({ length: size }, () => 2 * next() - 1);

async function values(of: { toFloat32(): Promise<Float32Array> }): Promise<number[]> {
  return [...(await of.toFloat32())];
}

describe('roundHalfEven', () => {
  it('rounds ties to even and others to nearest', () => {
    const cases = { 0.5: 0, 1.5: 2, 2.5: 2, '-0.5': 0, '-1.5': -2, 2.4999: 2, 126.5: 126, '-3.7': -4 };
    for (const [value, expected] of Object.entries(cases))
      expect(roundHalfEven(Number(value))).toBe(expected + 0);
  });
});

describe('int8-channel', () => {
  it('rounds to within half a step and keeps the largest exactly', () => {
    const weights = random(5 * 64);
    const parts = int8Channel.pack(weights, 5, 64);
    const out = new Float32Array(weights.length);
    int8Channel.unpack(parts, { rows: 5, columns: 64, rowStart: 0, rowCount: 5 }, out);
    const [codes, scales] = parts;
    weights.forEach((value, i) => {
      const scale = scales[Math.floor(i / 64)];
      expect(Math.abs(out[i] - value)).toBeLessThanOrEqual(scale * 0.500001);
    });
    for (let r = 0; r < 5; r++)
      expect(Math.max(...codes.subarray(r * 64, (r + 1) * 64).map(Math.abs))).toBe(127);
  });

  it('holds rows of zeros, and numbers so small that the scale has no digits', () => {
    const tiny = 1.4e-45;
    const [codes, scales] = int8Channel.pack(Float32Array.of(0, 0, 190 * tiny, -190 * tiny), 2, 2);
    expect([...codes]).toEqual([0, 0, 127, -127]);
    expect(scales[0]).toBe(0);
  });

  it('unpacks any range of rows', async () => {
    const packed = PackedTensor.pack('int8-channel', random(12), [4, 3]);
    const all = await values(packed.unpack());
    expect(await values(packed.unpack(1, 2))).toEqual(all.slice(3, 9));
    expect(await values(packed.gather(tensor(Int32Array.of(3, 0))))).toEqual([
      ...all.slice(9),
      ...all.slice(0, 3),
    ]);
  });
});

describe('PackedTensor', () => {
  it('multiplies like its unpacked matrix', async () => {
    const packed = PackedTensor.pack('int8-channel', random(300 * 64), [300, 64]);
    const x = tensor(random(2 * 64), { shape: [2, 64] });
    const expected = await values(x.matmul(packed.unpack().transpose()));
    const got = await values(packed.matmul(x));
    for (const [i, value] of got.entries()) expect(value).toBeCloseTo(expected[i], 4);
    expect(packed.byteLength).toBe(300 * 64 + 300 * 4);
  });

  it('is laid out for a while, and has its parts back afterwards', async () => {
    const packed = PackedTensor.pack('int8-channel', random(12), [4, 3]);
    const parts = packed.parts.map(({ storage }) => storage);
    await expectNoLeaks(() => packed.prepared()[Symbol.dispose]());
    expect(packed.parts.map(({ storage }) => storage)).toEqual(parts);
    expect(packed.layout).toBeUndefined();
  });

  it('packs rows that are read one part after the other as it packs all', async () => {
    const [rows, columns] = [2 ** 13 + 5, 2 ** 11];
    const all = new Float32Array(rows * columns).map((_, i) => Math.sin(i));
    const parts: number[] = [];
    const read = async (rowStart: number, rowCount: number) => {
      parts.push(rowCount);
      return all.slice(rowStart * columns, (rowStart + rowCount) * columns);
    };
    for (const format of ['int8-channel', 'nf4-plain']) {
      parts.length = 0;
      const packed = await PackedTensor.packRows(format, read, [rows, columns]);
      expect(parts).toEqual(format === 'int8-channel' ? [4096, 4096, 5] : [rows]);
      const expected = PackedTensor.pack(format, all, [rows, columns]);
      for (const [i, part] of packed.parts.entries())
        expect(Buffer.compare(await part.bytes(), await expected.parts[i].bytes())).toBe(0);
    }
    all[4100 * columns + 7] = Number.NaN;
    await expect(PackedTensor.packRows('int8-channel', read, [rows, columns])).rejects.toThrow(
      'not finite in row 4100, column 7',
    );
  });

  it('passes gradients to the input, none to itself', async () => {
    const packed = PackedTensor.pack('int8-channel', random(6), [2, 3]);
    const x = ones([1, 3]).setRequiresGrad(true);
    packed.matmul(x).sum().backward();
    const weight = await values(packed.unpack().sum(0));
    for (const [i, value] of (await values(x.grad!)).entries()) expect(value).toBeCloseTo(weight[i], 5);
    expect(packed.parts.every(({ grad }) => grad === null)).toBe(true);
  });

  it('quantises activations per row: whole numbers times one scale', async () => {
    const packed = PackedTensor.pack('int8-channel', Float32Array.of(1, -2, 3, 0.5, 0.25, -0.125), [2, 3]);
    const x = Float32Array.of(0.3, -1, 0.2, 0, 0, 0, 1000, 1, -500);
    const { codes, scales } = quantizeRows(x, 3, 3);
    expect([...codes]).toEqual([38, -127, 25, 0, 0, 0, 127, 0, -64]); // -63.5 is a tie
    const [weights, weightScales] = int8Channel.pack(Float32Array.of(1, -2, 3, 0.5, 0.25, -0.125), 2, 3);
    const expected = Array.from({ length: 6 }, (_, i) => {
      const [n, r] = [Math.floor(i / 2), i % 2];
      const dot = [0, 1, 2].reduce((sum, c) => sum + codes[n * 3 + c] * weights[r * 3 + c], 0);
      return Math.fround(dot * Math.fround(scales[n] * weightScales[r]));
    });
    expect(await values(packed.matmul(tensor(x, { shape: [3, 3] }), 'int8'))).toEqual(expected);
  });

  it('refuses values that do not fill the shape', () => {
    expect(() => PackedTensor.pack('int8-channel', random(5), [2, 3])).toThrow(ShapeError);
    expect(() => PackedTensor.pack('none', random(6), [2, 3])).toThrow('unknown packed format');
  });

  it.each(packedFormatNames())('refuses values that are not finite: %s', (format) => {
    const values = new Float32Array(2 * 256).fill(0.5);
    values[256 + 7] = Number.NaN;
    expect(() => PackedTensor.pack(format, values, [2, 256])).toThrow('not finite in row 1, column 7');
  });

  it('frees its parts', () => {
    const packed = PackedTensor.pack('int8-channel', random(6), [2, 3]);
    packed.dispose();
    expect(packed.parts.every(({ disposed }) => disposed)).toBe(true);
  });
});

describe('registerPackedFormat', () => {
  // f32 as it is: enough to see that core needs no more than the two functions.
  const plain: PackedFormat = {
    name: 'test-plain',
    activation: 'none',
    parts: (rows, columns) => [{ name: 'values', dtype: 'f32', shape: [rows, columns] }],
    pack: (all) => [all.slice()],
    unpack: ([all], { columns, rowStart, rowCount }, out) => {
      out.set(all.subarray(rowStart * columns, (rowStart + rowCount) * columns));
    },
  };

  it('makes a format usable everywhere', async () => {
    registerPackedFormat(plain);
    registerPackedFormat(plain);
    expect(packedFormatNames()).toContain('test-plain');
    expect(packedFormat('test-plain')).toBe(plain);
    const packed = PackedTensor.pack('test-plain', Float32Array.of(1, 2, 3, 4), [2, 2]);
    expect(await values(packed.matmul(tensor([[1, 10]])))).toEqual([21, 43]);
  });

  it('refuses to replace another format', () => {
    expect(() => registerPackedFormat({ ...plain, name: 'int8-channel' })).toThrow(ArgumentError);
  });
});
