import { encode } from '../../host-values.js';
import { defineCase, type InputSpec, input, type Layout, list } from '../case.js';
import { streamOf } from '../stream.js';

function matrix(rows: number, columns: number, values: ArrayLike<number>): InputSpec {
  return {
    shape: [rows, columns],
    dtype: 'f32',
    values: { kind: 'bytes', bytes: encode(values, 'f32') },
    layout: 'plain',
    constant: true,
  };
}

/** A random lower triangle whose diagonal is at least 1. */
function lowerTriangle(size: number): Float64Array {
  const random = streamOf(`lower ${size}`);
  return Float64Array.from({ length: size * size }, (_, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    if (column > row) return 0;
    return column === row ? 1 + random() : (random() - 0.5) / Math.sqrt(size);
  });
}

/** L Lᵀ. */
function positiveDefinite(size: number): InputSpec {
  const lower = lowerTriangle(size);
  const values = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      for (let k = 0; k < size; k++) values[i * size + j] += lower[i * size + k] * lower[j * size + k];
    }
  }
  return matrix(size, size, values);
}

const constant = { constant: true } as const;
const layouts: readonly Layout[] = ['transposed', 'sliced'];

export const linalgCases = [
  ...[0, 1, 2, 5, 31, 64, 65, 130].map((size) =>
    defineCase('cholesky', `${size}`, [positiveDefinite(size)], {}),
  ),
  defineCase(
    'cholesky',
    'not positive definite',
    [input([3, 3], { values: list(4, 2, 1, 2, 1, 3, 1, 3, 9), ...constant })],
    {},
  ),
  defineCase('cholesky', 'transposed', [{ ...positiveDefinite(9), layout: 'transposed' }], {}),
  ...[false, true].flatMap((transpose) => [
    ...(
      [
        [0, 3],
        [1, 1],
        [2, 3],
        [5, 0],
        [5, 1],
        [33, 7],
        [65, 65],
        [130, 9],
      ] as const
    ).map(([size, columns]) =>
      defineCase(
        'triangularSolve',
        `${size} × ${columns}${transpose ? ', transposed' : ''}`,
        [matrix(size, size, lowerTriangle(size)), input([size, columns], constant)],
        { transpose },
      ),
    ),
    ...layouts.map((layout) =>
      defineCase(
        'triangularSolve',
        `${layout}${transpose ? ', transposed' : ''}`,
        [{ ...matrix(9, 9, lowerTriangle(9)), layout }, input([9, 4], { layout, ...constant })],
        { transpose },
      ),
    ),
    // What lies above the diagonal must not matter.
    defineCase(
      'triangularSolve',
      `full matrix${transpose ? ', transposed' : ''}`,
      [
        input([3, 3], { values: list(2, Number.NaN, 7, 0.5, 3, Number.NaN, 1, -1, 4), ...constant }),
        input([3, 2], constant),
      ],
      { transpose },
    ),
  ]),
];
