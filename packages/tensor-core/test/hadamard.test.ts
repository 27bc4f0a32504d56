import { gradcheck, groupedPackedMatmul, PackedTensor, Random, tensor } from '@frugal/tensor-core';
import {
  hadamardBlocks,
  hadamardRows,
  kronecker,
  normalizedHadamard,
  packedFormat,
} from '@frugal/tensor-core/formats';
import { describe, expect, it } from 'vitest';

const random = new Random(3);
const drawn = (...shape: number[]) => random.normal(shape).toFloat32();

/** Relative distance of two lists of numbers. */
function distance(a: Float32Array, b: Float32Array): number {
  const sum = (of: (i: number) => number) => b.reduce((total, _, i) => total + of(i) ** 2, 0);
  return Math.sqrt(sum((i) => a[i] - b[i]) / sum((i) => b[i]));
}

describe('hadamardRows', () => {
  it.each([
    [1536, 1, 32, 48],
    [576, 1, 24, 24],
    [768, 1, 24, 32],
    [192, 1, 12, 16],
    [56, 7, 2, 4],
    [7, 7, 1, 1],
  ])('divides %i columns into %i blocks of %i · %i', (columns, blocks, outer, inner) => {
    const { blocks: found, ...sides } = hadamardBlocks(columns);
    expect(found).toBe(blocks);
    expect([sides.outer, sides.inner].sort((a, b) => a - b)).toEqual([outer, inner]);
  });

  it('is the Kronecker product of two Hadamard matrices, with the places of the block transposed', () => {
    const { outer, inner } = hadamardBlocks(192);
    const right = normalizedHadamard(inner);
    const transposed = right.values.map((_, i) => right.values[(i % inner) * inner + Math.floor(i / inner)]);
    const matrix = kronecker(normalizedHadamard(outer), { size: inner, values: transposed }); // A ⊗ Bᵀ
    const x = Float32Array.from({ length: 192 }, (_, i) => Math.sin(i * i));
    const turned = hadamardRows(x, 192);
    for (let r = 0; r < 192; r++) {
      const sum = x.reduce((total, value, c) => total + matrix.values[r * 192 + c] * value, 0);
      expect(turned[(r % inner) * outer + Math.floor(r / inner)]).toBeCloseTo(sum, 5);
    }
  });

  it.each([1536, 576, 56, 7])('comes back, and keeps lengths: %i columns', async (columns) => {
    const rows = await drawn(3, columns);
    expect(distance(hadamardRows(hadamardRows(rows, columns), columns, true), rows)).toBeLessThan(1e-6);
    const length = (values: Float32Array) => Math.hypot(...values.subarray(0, columns));
    expect(length(hadamardRows(rows, columns)) / length(rows)).toBeCloseTo(1, 5);
  });

  it('spreads one large value over all places', () => {
    const row = new Float32Array(1536);
    row[77] = 100;
    for (const value of hadamardRows(row, 1536))
      expect(Math.abs(value)).toBeCloseTo(100 / Math.sqrt(1536), 4);
  });
});

describe('formats of turned columns', () => {
  const [rows, columns] = [24, 192];
  const names = ['int8-channel-hadamard', 'int4-g32-hadamard', 'q8_0-hadamard'];

  it.each(names)('%s multiplies as its unpacked matrix does', async (format) => {
    const weight = await drawn(rows, columns);
    const packed = PackedTensor.pack(format, weight, [rows, columns]);
    const unpacked = packed.unpack();
    const values = await unpacked.toFloat32();
    expect(distance(values, weight)).toBeLessThan(format.startsWith('int4') ? 0.12 : 0.01);
    const plain = new Float32Array(rows * columns);
    const { pack, unpack } = packedFormat(format);
    unpack(pack(weight, rows, columns), { rows, columns, rowStart: 0, rowCount: rows }, plain);
    expect(distance(values, plain)).toBeLessThan(1e-6);
    const x = tensor(await drawn(5, columns), { shape: [5, columns] });
    const expected = await x.matmul(unpacked.transpose()).toFloat32();
    expect(distance(await packed.matmul(x).toFloat32(), expected)).toBeLessThan(1e-5);
    const y = tensor(await drawn(5, rows), { shape: [5, rows] });
    const back = await y.matmul(unpacked).toFloat32();
    expect(distance(await packed.matmulTransposed(y).toFloat32(), back)).toBeLessThan(1e-5);
    const ids = tensor(Int32Array.of(3, 20), { shape: [2] });
    const picked = Float32Array.of(
      ...values.subarray(3 * columns, 4 * columns),
      ...values.subarray(20 * columns, 21 * columns),
    );
    expect(distance(await packed.gather(ids).toFloat32(), picked)).toBeLessThan(1e-6);
    const offsets = tensor(Int32Array.of(0, 2, 5), { shape: [3] });
    const grouped = await groupedPackedMatmul(x, [packed, packed], offsets).toFloat32();
    expect(distance(grouped, expected)).toBeLessThan(1e-5);
  });

  it('passes gradients to what it multiplies', async () => {
    const packed = PackedTensor.pack('int8-channel-hadamard', await drawn(rows, columns), [rows, columns]);
    const x = tensor(await drawn(2, columns), { shape: [2, columns] }).setRequiresGrad(true);
    await gradcheck((input) => packed.matmul(input), [x]);
  });

  it('rounds activations that stand out with a tenth of the error', async () => {
    const weight = await drawn(rows, columns);
    const values = await drawn(4, columns);
    for (let r = 0; r < 4; r++) values[r * columns + 9] = 80;
    const x = tensor(values, { shape: [4, columns] });
    const exact = await x.matmul(tensor(weight, { shape: [rows, columns] }).transpose()).toFloat32();
    const errorOf = async (format: string) => {
      const packed = PackedTensor.pack(format, weight, [rows, columns]);
      return distance(await packed.matmul(x, 'int8').toFloat32(), exact);
    };
    const [turned, plain] = [await errorOf('int8-channel-hadamard'), await errorOf('int8-channel')];
    expect(turned).toBeLessThan(plain / 2);
  });

  it('refuses a format in a format', () => {
    expect(() => packedFormat('int8-channel-hadamard-hadamard')).toThrow(/own order/);
    expect(() => packedFormat('int4-g32-order-hadamard')).toThrow(/own order/);
    expect(() => packedFormat('nonsense-hadamard')).toThrow(/unknown packed format/);
  });
});
