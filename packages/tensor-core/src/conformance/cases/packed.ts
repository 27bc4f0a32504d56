import { type PackedActivation, packedFormat, packedFormatNames } from '../../formats/index.js';
import { type ConformanceCase, defineCase, indices, input, packedParts, vector } from '../case.js';
import { floatDTypes } from './shared.js';

interface Size {
  readonly rows: number;
  readonly columns: number;
}

/** Formats whose every option is tried; the others share their kernels. */
const thorough: ReadonlySet<string> = new Set(['int8-channel', 'q4_1', 'int4-g128-zero-order']);

/** Odd columns where the format allows them, else whole blocks. */
function sizesOf(format: string): { one: Size; small: Size; large: Size } {
  const odd = holds(format, 83);
  return {
    one: { rows: 1, columns: odd ? 83 : 256 },
    small: { rows: 37, columns: odd ? 83 : 256 },
    large: { rows: 150, columns: odd ? 413 : 512 },
  };
}

function holds(format: string, columns: number): boolean {
  try {
    packedFormat(format).parts(1, columns);
    return true;
  } catch {
    return false;
  }
}

function unpackCases(format: string): ConformanceCase[] {
  const { one, small, large } = sizesOf(format);
  const ranges = (size: Size, ...list: [number, number][]) => list.map((range) => ({ size, range }));
  return [
    ...ranges(one, [0, 1]),
    ...ranges(small, [0, 37], [18, 1], [37, 0]),
    ...ranges(large, [16, 100]),
  ].map(({ size: { rows, columns }, range: [rowStart, rowCount] }) =>
    defineCase(
      'unpack',
      `${format} ${rows} × ${columns}, ${rowCount} from ${rowStart}`,
      packedParts(format, rows, columns),
      { format, rows, columns, rowStart, rowCount },
    ),
  );
}

function groupedCases(format: string): ConformanceCase[] {
  const make = (offsets: readonly number[], { rows, columns }: Size, gradients?: 'differences') => {
    const groups = offsets.length - 1;
    const matrices = offsets.slice(1).flatMap(() => packedParts(format, rows, columns));
    return defineCase(
      'groupedPackedMatmul',
      `${format} ${offsets}${gradients ? ', finite differences' : ''}`,
      [input([offsets[groups] + 1, columns]), vector(...offsets), ...matrices],
      { format, rows, columns, groups, activation: 'none' },
      { gradients },
    );
  };
  const { one, small } = sizesOf(format);
  return [make([0, 3, 4, 9], small), make([2, 2, 40, 45], small), make([0, 1, 2], one, 'differences')];
}

function gatherCases(format: string): ConformanceCase[] {
  const { rows, columns } = sizesOf(format).small;
  return [[0], [2, 3], ...(thorough.has(format) ? [[], [5]] : [])].map((shape) =>
    defineCase(
      'packedGather',
      `${format} [${shape}]`,
      [indices(shape, rows), ...packedParts(format, rows, columns)],
      { format, rows, columns },
    ),
  );
}

interface MatmulOptions {
  readonly transpose?: boolean;
  readonly activation?: PackedActivation;
  readonly dtype?: 'f32' | 'bf16' | 'f16';
  readonly layout?: 'plain' | 'transposed';
  readonly gradients?: 'differences';
}

function matmulCases(format: string): ConformanceCase[] {
  const make = (name: string, shape: readonly number[], size: Size, options: MatmulOptions = {}) => {
    const { transpose = false, activation = 'none', dtype = 'f32', layout = 'plain', gradients } = options;
    return defineCase(
      'packedMatmul',
      `${format} ${activation}${transpose ? ' transposed' : ''} ${name}`,
      [
        input([...shape, transpose ? size.rows : size.columns], { dtype, layout }),
        ...packedParts(format, size.rows, size.columns),
      ],
      { format, ...size, transpose, activation },
      // Rounded activations are a staircase: the gradient is that of the product without rounding.
      { gradients },
    );
  };
  const { one, small, large } = sizesOf(format);
  const activations: PackedActivation[] = ['none', 'int8', 'int8-block32'];
  const common = activations.flatMap((activation) => [
    make('one row', [1], small, { activation }),
    make('one output', [3], one, { activation }),
    make('large', [9], large, { activation }),
  ]);
  const transposed = [
    make('1 row', [1], small, { transpose: true }),
    make('large', [9], large, { transpose: true }),
    make('finite differences', [2], one, { transpose: true, gradients: 'differences' }),
  ];
  if (!thorough.has(format)) return [...common, ...transposed];
  const special = activations.flatMap((activation) => [
    make('a vector', [], small, { activation }),
    make('no rows', [0], small, { activation }),
    make('batches', [2, 3], small, { activation }),
    ...floatDTypes.map((dtype) => make(dtype, [5], small, { activation, dtype })),
    make('rows that lie transposed', [5], small, { activation, layout: 'transposed' }),
  ]);
  return [
    ...common,
    ...transposed,
    ...special,
    make('7 rows', [7], small, { transpose: true }),
    make('bf16', [5], small, { transpose: true, dtype: 'bf16' }),
    make('finite differences', [1], one, { gradients: 'differences' }),
  ];
}

export const packedCases = packedFormatNames().flatMap((format) => [
  ...unpackCases(format),
  ...gatherCases(format),
  ...matmulCases(format),
  ...(thorough.has(format) ? groupedCases(format) : []),
]);
