import type { TensorInfo } from '../backend.js';
import { run } from '../dispatch.js';
import { ArgumentError, ShapeError } from '../errors.js';
import { packedFormat } from '../formats/index.js';
import type { Tensor } from '../tensor.js';
import { describe, requireDType, requireFloat, requireMinRank } from './checks.js';
import { defineOps } from './definition.js';
import { concat } from './functions.js';
import type { PackedAttributes } from './specs.js';

/** Rows unpacked at a time when a backend has no kernel for a format: bounds the extra memory. */
const TILE_ROWS = 256;

function requireParts(op: string, parts: readonly TensorInfo[], attributes: PackedAttributes): void {
  const expected = packedFormat(attributes.format).parts(attributes.rows, attributes.columns);
  const fits =
    parts.length === expected.length &&
    expected.every(
      ({ dtype, shape }, i) => dtype === parts[i].dtype && shape.join() === parts[i].shape.join(),
    );
  if (fits) return;
  throw new ShapeError({
    where: op,
    what: `the parts are not those of format ${attributes.format}`,
    got: describe(parts),
    expected: `${describe(expected)} for [${attributes.rows}, ${attributes.columns}]`,
  });
}

function unpackRows(
  parts: readonly Tensor[],
  attributes: PackedAttributes,
  rowStart: number,
  rowCount: number,
): Tensor {
  const { format, rows, columns } = attributes;
  return run('unpack', parts, { format, rows, columns, rowStart, rowCount });
}

function tiles(rows: number): { start: number; count: number }[] {
  return Array.from({ length: Math.ceil(rows / TILE_ROWS) }, (_, i) => ({
    start: i * TILE_ROWS,
    count: Math.min(TILE_ROWS, rows - i * TILE_ROWS),
  }));
}

/** Rows quantised to int8 and back: absmax / 127 per row, ties to even (round(x) by adding and taking off 1.5 · 2^23). */
function fakeQuantizeRows(x: Tensor): Tensor {
  const scale = x.abs().max(-1, true).div(127);
  const safe = scale.maximum(1e-30);
  const magic = 12582912;
  return x.div(safe).add(magic).sub(magic).mul(safe);
}

/** Packed matrices [rows, columns] given by the parts of their format; see `@frugal/tensor-core/formats`. */
export const packedOps = defineOps<'unpack' | 'packedMatmul' | 'packedGather'>({
  // parts → f32 [rowCount, columns]
  unpack: {
    infer: (parts, attributes) => {
      requireParts('unpack', parts, attributes);
      const { rowStart, rowCount, rows, columns } = attributes;
      if (rowStart < 0 || rowCount < 0 || rowStart + rowCount > rows) {
        throw new ArgumentError({
          where: 'unpack',
          what: 'rows out of range',
          got: `${rowCount} from ${rowStart}`,
          expected: `within ${rows}`,
        });
      }
      return [{ shape: [rowCount, columns], dtype: 'f32' }];
    },
  },
  // (x [..., columns], ...parts) → x Wᵀ [..., rows]; with `transpose`: (x [..., rows]) → x W [..., columns].
  // activation int8: each row of x becomes codes round(x / s) in -127..127, ties to even, with s = absmax / 127 in f32;
  // with int8-channel weights the result is f32(Σ code · code · f32(s · weight scale)), the sum exact.
  packedMatmul: {
    infer: ([x, ...parts], attributes) => {
      requireFloat('packedMatmul', [x]);
      requireMinRank('packedMatmul', 'the input', x, 1);
      requireParts('packedMatmul', parts, attributes);
      const [inner, outer] = attributes.transpose
        ? [attributes.rows, attributes.columns]
        : [attributes.columns, attributes.rows];
      if (x.shape[x.shape.length - 1] !== inner) {
        throw new ShapeError({
          where: 'packedMatmul',
          what: 'inner sizes differ',
          got: describe([x]),
          expected: `[..., ${inner}]`,
        });
      }
      return [{ shape: [...x.shape.slice(0, -1), outer], dtype: x.dtype }];
    },
    vjp: {
      // The parts are constants; saving them costs nothing and the input's gradient multiplies by them again.
      saves: { inputs: Array.from({ length: 9 }, (_, i) => i + 1) },
      gradients: ({ gradient, input, inputInfos, attributes }) => {
        const parts = inputInfos.slice(1).map((_, i) => input(i + 1));
        const flipped = { ...attributes, transpose: !attributes.transpose, activation: 'none' as const };
        return [run('packedMatmul', [gradient(), ...parts], flipped), ...parts.map(() => null)];
      },
    },
    decompose: ([x, ...parts], attributes) => {
      const { rows, transpose, activation } = attributes;
      const wide = x.cast('f32');
      const input = activation === 'int8' ? fakeQuantizeRows(wide) : wide;
      const matrix = input.rank === 1 ? input.reshape(1, -1) : input;
      const pieces = tiles(rows).map(({ start, count }) => {
        const weight = unpackRows(parts, attributes, start, count);
        return transpose
          ? matrix.slice(-1, start, start + count).matmul(weight)
          : matrix.matmul(weight.transpose());
      });
      const result = transpose
        ? pieces.reduce((sum, piece) => sum.add(piece))
        : concat(pieces, matrix.rank - 1);
      const { shape } = x;
      return [result.reshape(...shape.slice(0, -1), result.shape[result.rank - 1]).cast(x.dtype)];
    },
  },
  // (indices i32 [...I], ...parts) → f32 [...I, columns]: packed embeddings.
  packedGather: {
    infer: ([indices, ...parts], attributes) => {
      requireDType('packedGather', 'indices', indices, 'i32');
      requireParts('packedGather', parts, attributes);
      return [{ shape: [...indices.shape, attributes.columns], dtype: 'f32' }];
    },
    indices: (_, { rows }) => [{ input: 0, limit: rows }],
    decompose: ([indices, ...parts], attributes) => [
      unpackRows(parts, attributes, 0, attributes.rows).gatherRows(indices),
    ],
  },
});
