import type { TensorInfo } from '../backend.js';
import { run } from '../dispatch.js';
import { ArgumentError, ShapeError } from '../errors.js';
import { anyLength, type PackedActivation, packedFormat } from '../formats/index.js';
import type { Shape } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { describe, requireDType, requireFloat, requireMinRank, requireShape } from './checks.js';
import { defineOps } from './definition.js';
import { concat, scatterAddAlongAxis } from './functions.js';
import { groupMask, requireOffsets } from './grouped.js';
import type { OpSpecs, PackedAttributes } from './specs.js';

/** Columns that share a scale in `int8-block32`. */
const ACTIVATION_BLOCK = 32;

/** Rows unpacked at a time when a backend has no kernel for a format: bounds the extra memory. */
const TILE_ROWS = 256;

function requireParts(op: string, parts: readonly TensorInfo[], attributes: PackedAttributes): void {
  // The size of a backend's own layout is the backend's business.
  const expected: readonly TensorInfo[] = attributes.layout
    ? [{ dtype: 'u8', shape: [anyLength] }]
    : packedFormat(attributes.format).parts(attributes.rows, attributes.columns);
  const fits =
    parts.length === expected.length &&
    expected.every(({ dtype, shape }, i) => dtype === parts[i].dtype && fitsShape(parts[i].shape, shape));
  if (fits) return;
  throw new ShapeError({
    where: op,
    what: `the parts are not those of format ${attributes.format}`,
    got: describe(parts),
    expected: `${describe(expected)} for [${attributes.rows}, ${attributes.columns}]`,
  });
}

function fitsShape(shape: Shape, expected: Shape): boolean {
  return (
    shape.length === expected.length && expected.every((n, axis) => n === anyLength || n === shape[axis])
  );
}

function unpackRows(
  parts: readonly Tensor[],
  attributes: PackedAttributes,
  rowStart: number,
  rowCount: number,
): Tensor {
  const { format, rows, columns, layout } = attributes;
  return run('unpack', parts, { format, rows, columns, layout, rowStart, rowCount });
}

function tiles(rows: number, step = TILE_ROWS): { start: number; count: number }[] {
  return Array.from({ length: Math.ceil(rows / step) }, (_, i) => ({
    start: i * step,
    count: Math.min(step, rows - i * step),
  }));
}

/** Numbers of a weight that are unpacked at a time for x W: whole matrices of small models, so that few sums are added up. */
const TRANSPOSED_TILE = 2 ** 21;

/** x W [..., columns] for x [..., rows]; bf16 multiplies bf16, with the sums of several tiles in f32. */
function timesUnpacked(x: Tensor, parts: readonly Tensor[], attributes: PackedAttributes): Tensor {
  const { rows, columns } = attributes;
  const step = Math.max(TILE_ROWS, Math.floor(TRANSPOSED_TILE / columns));
  const pieces = tiles(rows, step).map(({ start, count }) => {
    const weight = unpackRows(parts, attributes, start, count).cast(x.dtype);
    return x.slice(-1, start, start + count).matmul(weight);
  });
  if (pieces.length === 1) return pieces[0];
  return pieces.map((piece) => piece.cast('f32')).reduce((sum, piece) => sum.add(piece));
}

/** Rows quantised to int8 and back, by {@link PackedActivation}; `order` is the column order of the format. */
function fakeQuantize(x: Tensor, activation: PackedActivation, order: Tensor | undefined): Tensor {
  if (activation === 'none') return x;
  if (activation === 'int8') return fakeQuantizeRows(x);
  const { shape } = x;
  const columns = shape[shape.length - 1];
  if (columns === 0) return x;
  const flat = x.reshape(x.size / columns, columns);
  const places = order?.reshape(1, columns).expand(flat.shape[0], columns);
  const stored = places ? flat.takeAlongAxis(places, 1) : flat;
  const blocks = Math.ceil(columns / ACTIVATION_BLOCK);
  const padded = stored.pad([0, 0], [0, blocks * ACTIVATION_BLOCK - columns]);
  const rounded = fakeQuantizeRows(padded.reshape(flat.shape[0], blocks, ACTIVATION_BLOCK))
    .reshape(flat.shape[0], blocks * ACTIVATION_BLOCK)
    .slice(1, 0, columns);
  const result = places ? scatterAddAlongAxis(places, rounded, 1, columns) : rounded;
  return result.reshape(...shape);
}

/** absmax / 127 over the last axis, ties to even (round(x) by adding and taking off 1.5 · 2^23). */
function fakeQuantizeRows(x: Tensor): Tensor {
  const scale = x.abs().max(-1, true).div(127);
  const safe = scale.maximum(1e-30);
  const magic = 12582912;
  return x.div(safe).add(magic).sub(magic).mul(safe);
}

/** The parts of each matrix of a grouped product. */
function matricesOf<T>(parts: readonly T[], { groups }: { readonly groups: number }): (readonly T[])[] {
  const each = Math.floor(parts.length / groups);
  return Array.from({ length: groups }, (_, e) =>
    parts.slice(e * each, e === groups - 1 ? undefined : (e + 1) * each),
  );
}

/** Every matrix for all rows, those of others zeroed: nothing is read back. */
function sumOfGroups(
  x: Tensor,
  offsets: Tensor,
  matrices: readonly (readonly Tensor[])[],
  attributes: OpSpecs['packedMatmul'],
): Tensor {
  return matrices
    .map((parts, e) => {
      const mine = groupMask(offsets, e, x);
      return run('packedMatmul', [x.mul(mine), ...parts], attributes).mul(mine);
    })
    .reduce((sum, product) => sum.add(product));
}

/** Packed matrices [rows, columns] given by the parts of their format; see `@frugal/tensor-core/formats`. */
export const packedOps = defineOps<
  'unpack' | 'packedMatmul' | 'groupedPackedMatmul' | 'packedGather' | 'packedRepack' | 'packedStandard'
>({
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
  // Quantised activations (see PackedActivation) are codes · scale; the result is their product with the unpacked weight.
  // Kernels may order the sums, but one order serves every number of rows and threads, and codes of a weight block times
  // codes of x are summed as whole numbers. int8 with int8-channel weights is exactly f32(Σ code · code · f32(s · weight scale)).
  packedMatmul: {
    infer: ([x, ...parts], attributes) => {
      requireFloat('packedMatmul', [x]);
      requireMinRank('packedMatmul', 'the input', x, 1);
      requireParts('packedMatmul', parts, attributes);
      if (attributes.transpose && attributes.activation === 'int8-block32') {
        throw new ArgumentError({
          where: 'packedMatmul',
          what: 'blocks of columns do not exist in a product with the transposed weight',
          got: "activation 'int8-block32'",
          expected: "'none' or 'int8'",
        });
      }
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
    depth: (_, { rows, columns, transpose }) => (transpose ? rows : columns),
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
      // Quantised activations are f32: codes times scales.
      const wide = transpose && activation === 'none' && x.dtype === 'bf16' ? x : x.cast('f32');
      const { orderPart } = packedFormat(attributes.format);
      const order = orderPart === undefined || transpose ? undefined : parts[orderPart];
      const input = fakeQuantize(wide, activation, order);
      const matrix = input.rank === 1 ? input.reshape(1, -1) : input;
      const result = transpose
        ? timesUnpacked(matrix, parts, attributes)
        : concat(
            tiles(rows).map(({ start, count }) =>
              matrix.matmul(unpackRows(parts, attributes, start, count).transpose()),
            ),
            matrix.rank - 1,
          );
      const { shape } = x;
      return [result.reshape(...shape.slice(0, -1), result.shape[result.rank - 1]).cast(x.dtype)];
    },
  },
  // (x [N, columns], offsets i32 [E + 1], ...parts of each matrix) → [N, rows]: packed experts. Row i of group e, offsets[e] ≤ i
  // < offsets[e + 1], gets the bits of packedMatmul by matrix e; rows of no group are 0.
  groupedPackedMatmul: {
    infer: ([x, offsets, ...parts], attributes) => {
      requireFloat('groupedPackedMatmul', [x]);
      requireShape('groupedPackedMatmul', 'the input', x, [-1, attributes.columns], [x]);
      requireOffsets('groupedPackedMatmul', offsets, attributes.groups);
      for (const own of matricesOf(parts, attributes)) requireParts('groupedPackedMatmul', own, attributes);
      return [{ shape: [x.shape[0], attributes.rows], dtype: x.dtype }];
    },
    indices: ([x]) => [{ input: 1, limit: x.shape[0] + 1 }],
    vjp: {
      saves: { inputs: 'all' },
      gradients: ({ gradient, input, inputInfos, attributes }) => {
        const [offsets, ...parts] = inputInfos.slice(1).map((_, i) => input(i + 1));
        const { groups: _, ...matrix } = attributes;
        const g = gradient();
        const flipped = { ...matrix, transpose: true, activation: 'none' as const };
        return [
          sumOfGroups(g, offsets, matricesOf(parts, attributes), flipped),
          null,
          ...parts.map(() => null),
        ];
      },
    },
    decompose: ([x, offsets, ...parts], attributes) => {
      const { groups: _, ...matrix } = attributes;
      return [sumOfGroups(x, offsets, matricesOf(parts, attributes), { ...matrix, transpose: false })];
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
  // parts → the backend's own layout, u8 [byteLength]; see Backend.packedLayout.
  packedRepack: {
    infer: (parts, attributes) => {
      requireParts('packedRepack', parts, { ...attributes, layout: undefined });
      return [{ shape: [attributes.byteLength], dtype: 'u8' }];
    },
  },
  // The backend's own layout → the parts of the format, byte for byte.
  packedStandard: {
    infer: (parts, attributes) => {
      requireParts('packedStandard', parts, attributes);
      return packedFormat(attributes.format)
        .parts(attributes.rows, attributes.columns)
        .map(({ shape, dtype }) => ({ shape, dtype }));
    },
  },
});
