import { readFileSync } from 'node:fs';
import {
  e4m3Values,
  floatToE4m3,
  type PartArray,
  packedFormat,
  packedFormatNames,
} from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';
import { readFixture } from './safetensors.js';

const fixtures = new URL('../../../oracles/fixtures/', import.meta.url);
const tensors = readFixture(new URL('formats.safetensors', fixtures));
const errors: Record<string, number[]> = JSON.parse(
  readFileSync(new URL('formats-error.json', fixtures), 'utf8'),
);

const ROWS = 4;
const COLUMNS = 512;

async function numbers(name: string): Promise<Float32Array> {
  const tensor = tensors.get(name);
  if (!tensor) throw new Error(`no ${name} in the fixture`);
  return (tensor.dtype === 'f32' ? tensor : tensor.cast('f32')).toFloat32();
}

async function bytes(name: string): Promise<Uint8Array> {
  return Uint8Array.from(await numbers(name));
}

function unpack(format: string, parts: readonly PartArray[], rows: number, columns = COLUMNS): Float32Array {
  const out = new Float32Array(rows * columns);
  packedFormat(format).unpack(parts, { rows, columns, rowStart: 0, rowCount: rows }, out);
  return out;
}

const ggml = Object.keys(errors);

describe('ggml blocks', () => {
  it.each(ggml)('unpacks %s as gguf does, bit for bit', async (format) => {
    const got = unpack(format, [await bytes(`ggml/${format}/blocks`)], 2);
    expect(got).toEqual(await numbers(`ggml/${format}/values`));
  });

  it.each(ggml.filter((format) => tensors.has(`ggml/${format}/packed`)))(
    'packs %s as ggml does, byte for byte',
    async (format) => {
      const [blocks] = packedFormat(format).pack(await numbers('values'), ROWS, COLUMNS);
      expect(blocks).toEqual(await bytes(`ggml/${format}/packed`));
    },
  );

  it.each(ggml)('packs %s with no larger error than ggml', async (format) => {
    const values = await numbers('values');
    const back = unpack(format, packedFormat(format).pack(values, ROWS, COLUMNS), ROWS);
    for (let r = 0; r < ROWS; r++) {
      let sum = 0;
      for (let i = r * COLUMNS; i < (r + 1) * COLUMNS; i++) sum += (back[i] - values[i]) ** 2;
      expect(sum / COLUMNS).toBeLessThanOrEqual(errors[format][r] * 1.000001);
    }
  });
});

/** bitsandbytes divides blocks of zeros by zero and stores the code of -1; ours store that of 0. */
function expectCodes(got: PartArray, expected: Uint8Array, absmax: PartArray): void {
  const filled = (codes: PartArray) => [...codes].filter((_, i) => absmax[Math.floor(i / 32)] > 0);
  expect(filled(got)).toEqual(filled(expected));
}

describe('NF4', () => {
  it('packs and unpacks as bitsandbytes does', async () => {
    const values = await numbers('values');
    const parts = packedFormat('nf4-plain').pack(values, ROWS, COLUMNS);
    expectCodes(parts[0], await bytes('nf4/codes'), parts[1]);
    expect(parts[1]).toEqual(await numbers('nf4/absmax'));
    expect(unpack('nf4-plain', [await bytes('nf4/codes'), parts[1]], ROWS)).toEqual(
      await numbers('nf4/unpacked-plain'),
    );
  });

  it('quantises the scales as bitsandbytes does', async () => {
    const parts = packedFormat('nf4').pack(await numbers('values'), ROWS, COLUMNS);
    const [codes, absmax, nestedAbsmax, nestedMap, offset] = parts;
    expectCodes(codes, await bytes('nf4/nested/codes'), await numbers('nf4/absmax'));
    // Its CPU code (not its CUDA code) replaces the lowest number of the map by -1.
    expect(nestedMap.slice(1)).toEqual((await numbers('nf4/nested/nestedMap')).slice(1));
    expect(offset[0]).toBeCloseTo((await numbers('nf4/nested/offset'))[0], 6); // a sum in another order
    expect(nestedAbsmax[0]).toBeCloseTo((await numbers('nf4/nested/nestedAbsmax'))[0], 6);
    expect(absmax).toEqual(await bytes('nf4/nested/absmax'));
  });

  it('unpacks what bitsandbytes has packed, bit for bit', async () => {
    const parts = [
      await bytes('nf4/nested/codes'),
      await bytes('nf4/nested/absmax'),
      await numbers('nf4/nested/nestedAbsmax'),
      await numbers('nf4/nested/nestedMap'),
      await numbers('nf4/nested/offset'),
    ];
    expect(unpack('nf4', parts, ROWS)).toEqual(await numbers('nf4/unpacked'));
  });
});

describe('E4M3', () => {
  it('has the values and the rounding of torch', async () => {
    const expected = await numbers('e4m3/values');
    expect(e4m3Values.map((value) => (Number.isNaN(value) ? 0 : value))).toEqual(expected);
    const given = await numbers('e4m3/given');
    expect(Uint8Array.from(given, floatToE4m3)).toEqual(await bytes('e4m3/rounded'));
  });
});

/** Waves that divide nothing, a third of them zero. */
function waves(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (i % 3 === 1 ? 0 : Math.sin(i * i) * (1 + (i % 7))));
}

describe('every format', () => {
  it.each(packedFormatNames())('%s gives arrays of the sizes that it promises', (format) => {
    const { parts, pack } = packedFormat(format);
    const packed = pack(waves(3 * 256), 3, 256);
    const sizes = parts(3, 256).map(({ shape }, i) =>
      shape.reduce((n, size) => n * (size < 0 ? packed[i].length : size), 1),
    );
    expect(packed.map(({ length }) => length)).toEqual(sizes);
  });

  const rowByRow = packedFormatNames().filter((name) => packedFormat(name).rowByRow);
  it.each(rowByRow)('%s packs some rows as it packs all', (name) => {
    const { pack } = packedFormat(name);
    const values = waves(5 * 256);
    const [top, rest] = [pack(values.subarray(0, 2 * 256), 2, 256), pack(values.subarray(2 * 256), 3, 256)];
    const whole = pack(values, 5, 256);
    for (const [i, part] of whole.entries()) expect([...top[i], ...rest[i]]).toEqual([...part]);
  });

  it('those of integers and of blocks do so, those with scales of the whole matrix do not', () => {
    expect(rowByRow).toEqual(expect.arrayContaining(['int8-channel', 'q4_k', 'q8_0']));
    for (const name of ['nf4', 'fp8-tensor', 'fp8-block128']) expect(rowByRow).not.toContain(name);
  });

  it.each(packedFormatNames())('%s unpacks any rows as it unpacks all', (format) => {
    const { pack } = packedFormat(format);
    const packed = pack(waves(5 * 256), 5, 256);
    const all = unpack(format, packed, 5, 256);
    const out = new Float32Array(2 * 256);
    packedFormat(format).unpack(packed, { rows: 5, columns: 256, rowStart: 2, rowCount: 2 }, out);
    expect(out).toEqual(all.slice(2 * 256, 4 * 256));
  });
});

describe('integer groups', () => {
  const names = ['int2', 'int3', 'int4', 'int8'].flatMap((bits) =>
    ['-g32', '-g20-zero', '-g128-bf16', '-g50-zero-f32'].map((rest) => bits + rest),
  );

  it.each(names)('%s is off by half a step at most, ragged groups included', (format) => {
    const [rows, columns] = [3, 77];
    const values = waves(rows * columns);
    const parts = packedFormat(format).pack(values, rows, columns);
    const back = unpack(format, parts, rows, columns);
    const [, bits, group] = /^int(.)-g(\d+)/.exec(format) as RegExpExecArray;
    const groups = Math.ceil(columns / Number(group));
    values.forEach((value, i) => {
      const row = Math.floor(i / columns);
      const start = row * columns + Math.floor((i % columns) / Number(group)) * Number(group);
      const members = values.subarray(start, Math.min(start + Number(group), (row + 1) * columns));
      const [low, high] = [Math.min(0, ...members), Math.max(0, ...members)];
      const range = format.includes('zero') ? high - low : 2 * Math.max(high, -low);
      // The stored scale may be rounded by 2^-9 of itself (bf16), which counts at the ends of the range; so does a rounded zero point.
      const step = range / (2 ** Number(bits) - 1);
      const allowed = step * (format.includes('zero') ? 1 : 0.5) + range * 2 ** -9;
      expect(Math.abs(back[i] - value)).toBeLessThanOrEqual(allowed);
    });
    expect(parts[1].length).toBe(rows * groups);
  });

  it('keeps columns where the order says', () => {
    const values = waves(2 * 64);
    const format = packedFormat('int8-g16-order');
    const parts = format.pack(values, 2, 64);
    const plain = unpack(format.name, parts, 2, 64);
    parts[2].reverse();
    const turned = unpack(format.name, parts, 2, 64);
    for (let i = 0; i < 64; i++) expect(turned[i]).toBe(plain[63 - i]);
  });

  it('stores codes lowest bits first', () => {
    const values = Float32Array.of(-4, -3, -2, -1, 0, 1, 2, 3);
    const [codes] = packedFormat('int3-g8-zero-f32').pack(values, 1, 8);
    expect([...codes]).toEqual([0b10001000, 0b11000110, 0b11111010]);
  });
});

describe('sparse formats', () => {
  it.each(['2:4-f32', '1:4-f32', '3:5-f32', '4:8-f32'])(
    '%s keeps the largest of each group exactly',
    (format) => {
      const [n, m] = format.split('-')[0].split(':').map(Number);
      const [rows, columns] = [2, 43];
      const values = waves(rows * columns);
      const back = unpack(format, packedFormat(format).pack(values, rows, columns), rows, columns);
      for (let start = 0; start < columns; start += m) {
        const width = Math.min(m, columns - start);
        const group = [...back.subarray(start, start + width)];
        const given = [...values.subarray(start, start + width)];
        const kept = group.filter((value) => value !== 0).length;
        expect(kept).toBe(Math.min(n, given.filter((value) => value !== 0).length));
        const smallestKept = Math.min(...group.filter((value) => value !== 0).map(Math.abs));
        for (const [i, value] of given.entries()) {
          if (group[i] !== 0) expect(group[i]).toBe(value);
          else expect(Math.abs(value)).toBeLessThanOrEqual(smallestKept);
        }
      }
    },
  );

  it('bitmap-f32 keeps everything', () => {
    const values = waves(3 * 43);
    expect(unpack('bitmap-f32', packedFormat('bitmap-f32').pack(values, 3, 43), 3, 43)).toEqual(values);
  });

  it('refuses impossible patterns and says which formats exist', () => {
    expect(() => packedFormat('4:4')).toThrow('n < m');
    expect(() => packedFormat('int5-g32')).toThrow(
      /unknown packed format: got int5-g32; expected .*int8-channel.*-zero/,
    );
    expect(() => packedFormat('q4_k').parts(3, 300)).toThrow('multiple of 256');
  });
});
