import { packedFormatNames } from '../../formats/index.js';
import { type ConformanceCase, defineCase, indices, input, packedParts } from '../case.js';
import { floatDTypes } from './shared.js';

/** Columns are multiples of 256, the longest block that formats use; rows are odd. */
const sizes = [
  { rows: 1, columns: 256 },
  { rows: 37, columns: 256 },
  { rows: 300, columns: 512 },
] as const;

function unpackCases(format: string): ConformanceCase[] {
  return sizes.flatMap(({ rows, columns }) =>
    [[0, rows], ...(rows > 1 ? [[Math.floor(rows / 2), 1]] : []), [rows, 0]].map(([rowStart, rowCount]) =>
      defineCase(
        'unpack',
        `${format} ${rows} × ${columns}, ${rowCount} from ${rowStart}`,
        packedParts(format, rows, columns),
        {
          format,
          rows,
          columns,
          rowStart,
          rowCount,
        },
      ),
    ),
  );
}

function gatherCases(format: string): ConformanceCase[] {
  const { rows, columns } = sizes[1];
  return [[], [0], [5], [2, 3]].map((shape) =>
    defineCase(
      'packedGather',
      `${format} [${shape}]`,
      [indices(shape, rows), ...packedParts(format, rows, columns)],
      { format, rows, columns },
    ),
  );
}

function matmulCases(format: string): ConformanceCase[] {
  const make = (
    name: string,
    shape: readonly number[],
    size: { rows: number; columns: number },
    options: MatmulOptions = {},
  ) => {
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
  const [one, small, large] = sizes;
  return [
    ...(['none', 'int8'] as const).flatMap((activation) => [
      make('one row', [1], small, { activation }),
      make('a vector', [], small, { activation }),
      make('no rows', [0], small, { activation }),
      make('batches', [2, 3], small, { activation }),
      make('one output', [3], one, { activation }),
      make('large', [35], large, { activation }),
      ...floatDTypes.map((dtype) => make(dtype, [5], small, { activation, dtype })),
      make('rows that lie transposed', [5], small, { activation, layout: 'transposed' }),
    ]),
    ...[1, 7].map((N) => make(`${N} rows`, [N], small, { transpose: true })),
    make('large', [35], large, { transpose: true }),
    make('bf16', [5], small, { transpose: true, dtype: 'bf16' }),
    make('finite differences', [1], one, { gradients: 'differences' }),
    make('finite differences', [2], one, { transpose: true, gradients: 'differences' }),
  ];
}

interface MatmulOptions {
  readonly transpose?: boolean;
  readonly activation?: 'none' | 'int8';
  readonly dtype?: 'f32' | 'bf16' | 'f16';
  readonly layout?: 'plain' | 'transposed';
  readonly gradients?: 'differences';
}

export const packedCases = packedFormatNames().flatMap((format) => [
  ...unpackCases(format),
  ...gatherCases(format),
  ...matmulCases(format),
]);
