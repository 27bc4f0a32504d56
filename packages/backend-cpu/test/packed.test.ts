import { cpuBackend, type Isa } from '@frugal/backend-cpu';
import {
  fromBytes,
  groupedPackedMatmul,
  PackedTensor,
  Random,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import { e4m3Values, packedFormat } from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';
import { needsNative, testedIsas } from './native.js';

needsNative();

const formats = ['q2_k', 'q3_k', 'q4_0', 'q4_1', 'q4_k', 'q5_0', 'q5_1', 'q5_k', 'q6_k', 'q8_0', 'iq4_nl'];
/** Formats whose kernels multiply f32 rows. */
const floatFormats = [
  ...['nf4', 'nf4-plain', 'fp8-tensor', 'fp8-channel', 'fp8-block128', '2:4', '2:4-int8'],
  ...['bitmap', 'bitmap-f32', 'bitmap-f16', 'bitmap-int8', '4:8', 'q4_0', 'int8-channel'],
];
const [ROWS, COLUMNS] = [35, 512];

/** A matrix of ggml blocks in the layout of the CPU backend, and its values. */
async function packed(format: string, isa: Isa, values: Float32Array) {
  const backend = cpuBackend({ isa, minimumWork: 0 });
  const parts = packedFormat(format)
    .pack(values, ROWS, COLUMNS)
    .map((part) => {
      const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      return fromBytes(bytes, { shape: [ROWS, bytes.length / ROWS], dtype: 'u8', backend });
    });
  const weight = new PackedTensor(format, [ROWS, COLUMNS], parts).prepare();
  return { backend, weight, weights: await weight.unpack().toFloat32() };
}

const bitsOf = async (x: Tensor) => Buffer.from(await x.bytes());

/** Every part of x, from one of `bounds` to the next, gives the bits that its rows have in the product with all of x. */
async function expectSameBits(
  weight: PackedTensor,
  x: Tensor,
  activation: 'none' | 'int8-block32',
  bounds: readonly number[],
): Promise<void> {
  const all = await bitsOf(weight.matmul(x, activation));
  for (const [i, end] of bounds.slice(1).entries()) {
    const first = bounds[i];
    const some = await bitsOf(weight.matmul(x.slice(0, first, end), activation));
    const same = some.equals(all.subarray(first * ROWS * 4, end * ROWS * 4));
    expect(same, `rows ${first} to ${end}`).toBe(true);
  }
}

for (const isa of testedIsas) {
  describe(`packed products, ${isa}`, () => {
    it.each(formats)('give a row the same bits alone and among others: %s', async (format) => {
      const { backend, weight } = await packed(
        format,
        isa,
        await new Random(1).normal([ROWS * COLUMNS]).toFloat32(),
      );
      const x = new Random(2).normal([131, COLUMNS], { backend });
      // Kernels for one, few and many rows, and every number that is left over.
      await expectSameBits(weight, x, 'int8-block32', [0, 1, 3, 6, 10, 15, 22, 39, 131]);
    });

    it.each(floatFormats)(
      'of f32 rows give a row the same bits alone and among others: %s',
      async (format) => {
        const backend = cpuBackend({ isa, minimumWork: 0 });
        const values = await new Random(1).normal([ROWS * COLUMNS]).toFloat32();
        const weight = PackedTensor.pack(format, values, [ROWS, COLUMNS], backend).prepare();
        const x = new Random(2).normal([23, COLUMNS], { backend });
        await expectSameBits(weight, x, 'none', [0, 1, 3, 6, 10, 23]);
      },
    );

    it('are laid out for a while, and have their parts back afterwards', async () => {
      const backend = cpuBackend({ isa, minimumWork: 0 });
      const values = await new Random(1).normal([ROWS * COLUMNS]).toFloat32();
      const weight = PackedTensor.pack('q8_0', values, [ROWS, COLUMNS], backend);
      const before = await weight.parts[0].bytes();
      const layout = weight.prepared();
      expect(weight.layout).toBeDefined();
      layout[Symbol.dispose]();
      expect(weight.layout).toBeUndefined();
      expect(await weight.parts[0].bytes()).toEqual(before);
    });

    it('of FP8 take every code for its number, and 127 for none', async () => {
      const backend = cpuBackend({ isa, minimumWork: 0 });
      const codes = Uint8Array.from({ length: 16 * 256 }, (_, i) => i % 256);
      const parts = [codes, Float32Array.of(2)];
      const weight = PackedTensor.fromParts('fp8-tensor', [16, 256], parts, backend).prepare();
      const want = Float32Array.from(codes, (code) => 2 * e4m3Values[code]);
      expect(await weight.unpack().toFloat32()).toEqual(want);
      const x = tensor(new Float32Array(256).fill(1), { backend }).reshape(1, 256);
      expect((await weight.matmul(x, 'none').toFloat32()).every(Number.isNaN)).toBe(true);
    });

    // Groups of no, one, few and many rows, and rows of none.
    it.each([
      ['q4_1', 'int8-block32'],
      ['q4_1', 'none'],
      ['int4-g32', 'int8-block32'],
      ['int4-g128-zero-order', 'int8-block32'],
      ['int8-channel', 'int8'],
    ] as const)('of groups have the bits of each group alone: %s, %s', async (format, activation) => {
      const [backend, parallel] = [1, 3].map((threads) => cpuBackend({ isa, threads, minimumWork: 0 }));
      const sizes = [0, 1, 3, 0, 20, 69, 9, 2, 4, 5, 6, 7, 8];
      const offsets = [2];
      for (const size of sizes) offsets.push((offsets.at(-1) as number) + size);
      const last = offsets.at(-1) as number;
      const values = await new Random(1).normal([sizes.length, ROWS * COLUMNS]).toFloat32();
      const matrices = offsets.slice(1).map((_, e) => {
        const own = values.slice(e * ROWS * COLUMNS, (e + 1) * ROWS * COLUMNS);
        return PackedTensor.pack(format, own, [ROWS, COLUMNS], backend).prepare();
      });
      for (const dtype of ['f32', 'bf16'] as const) {
        const x = new Random(2).normal([last + 2, COLUMNS], { backend }).cast(dtype);
        const grouped = groupedPackedMatmul(
          x,
          matrices,
          tensor(Int32Array.from(offsets), { backend }),
          activation,
        );
        const all = await bitsOf(grouped);
        const row = all.length / (last + 2);
        for (const [e, matrix] of matrices.entries()) {
          const [first, end] = [offsets[e], offsets[e + 1]];
          if (first === end) continue;
          const alone = await bitsOf(matrix.matmul(x.slice(0, first, end), activation));
          expect(alone.equals(all.subarray(first * row, end * row)), `${dtype}, group ${e}`).toBe(true);
        }
        const outside = [...all.subarray(0, 2 * row), ...all.subarray(last * row)];
        expect(outside.every((byte) => byte === 0)).toBe(true);
        const there = await x.to(parallel);
        const moved = await Promise.all(
          matrices.map(async (matrix) => (await matrix.to(parallel)).prepare()),
        );
        const bounds = tensor(Int32Array.from(offsets), { backend: parallel });
        expect((await bitsOf(groupedPackedMatmul(there, moved, bounds, activation))).equals(all)).toBe(true);
      }
    });

    it.each(['int8-block32', 'int8'] as const)('say that a number of x is none: %s', async (activation) => {
      const { backend, weight } = await packed(
        'q8_0',
        isa,
        await new Random(1).normal([ROWS * COLUMNS]).toFloat32(),
      );
      const random = await new Random(2).normal([COLUMNS]).toFloat32();
      for (let column = 0; column < 37; column++) {
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const rows = Float32Array.from([...random, ...random.with(column, bad), ...random]);
          const x = tensor(rows, { backend }).reshape(3, COLUMNS);
          const y = await weight.matmul(x, activation).toFloat32();
          const finite = Array.from({ length: 3 }, (_, r) =>
            y.subarray(r * ROWS, (r + 1) * ROWS).some(Number.isFinite),
          );
          expect(finite, `${bad} in column ${column}`).toEqual([true, false, true]);
        }
      }
    });

    // All codes of a block at an end of their range, times codes of x of ±127: the largest sums that there are.
    it.each(formats)('hold the largest sums of a block: %s', async (format) => {
      const values = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => {
        const row = Math.floor(i / COLUMNS);
        const sign = row % 2 === 0 ? 1 : -1;
        return i % 32 === row % 32 ? -sign : sign; // one of 32 at the other end, which spans the range
      });
      const { backend, weight, weights } = await packed(format, isa, values);
      for (const count of [1, 3, 9]) {
        const signs = Float32Array.from({ length: count * COLUMNS }, (_, i) =>
          Math.floor(i / COLUMNS) % 2 === 0 ? 127 : i % 3 === 0 ? -127 : 127,
        );
        const x = tensor(signs, { backend }).reshape(count, COLUMNS);
        const y = await weight.matmul(x, 'int8-block32').toFloat32();
        for (let r = 0; r < count; r++) {
          for (let n = 0; n < ROWS; n++) {
            let sum = 0;
            let size = 0;
            for (let c = 0; c < COLUMNS; c++) {
              const term = signs[r * COLUMNS + c] * weights[n * COLUMNS + c];
              sum += term;
              size += Math.abs(term);
            }
            expect(Math.abs(y[r * ROWS + n] - sum), `row ${r}, output ${n}`).toBeLessThan(1e-5 * size);
          }
        }
      }
    });
  });
}
