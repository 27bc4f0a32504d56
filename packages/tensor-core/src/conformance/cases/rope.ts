import { defineCase, input, type Layout } from '../case.js';
import { halfDTypes } from './shared.js';

interface Sizes {
  readonly N: number;
  readonly H: number;
  readonly D: number;
  readonly R: number;
}

const sizes: readonly Sizes[] = [
  { N: 1, H: 1, D: 2, R: 1 },
  { N: 5, H: 3, D: 8, R: 4 },
  { N: 5, H: 3, D: 9, R: 3 },
  { N: 4, H: 2, D: 8, R: 0 },
  { N: 0, H: 2, D: 8, R: 4 },
  { N: 33, H: 4, D: 64, R: 32 },
  { N: 7, H: 2, D: 96, R: 16 },
];

function inputs({ N, H, D, R }: Sizes, dtype: 'f32' | 'bf16' | 'f16' = 'f32', layout: Layout = 'plain') {
  // Any angles do: the op does not ask cos² + sin² = 1.
  const table = input([N, R], { constant: true, layout });
  return [input([N, H, D], { dtype, layout }), table, table];
}

const usual = sizes[1];

export const ropeCases = [false, true].flatMap((interleaved) =>
  [false, true].flatMap((inverse) => {
    const name = `${interleaved ? 'interleaved' : 'halves'}${inverse ? ' inverse' : ''}`;
    const attributes = { interleaved, inverse };
    return [
      ...sizes.map((size) =>
        defineCase('rope', `${name} ${Object.values(size).join(' × ')}`, inputs(size), attributes),
      ),
      ...halfDTypes.map((dtype) => defineCase('rope', `${name} ${dtype}`, inputs(usual, dtype), attributes)),
      ...(['transposed', 'sliced', 'expanded'] as const).map((layout) =>
        defineCase('rope', `${name} ${layout}`, inputs(usual, 'f32', layout), attributes),
      ),
      defineCase('rope', `${name} finite differences`, inputs({ N: 2, H: 1, D: 5, R: 2 }), attributes, {
        gradients: 'differences',
      }),
    ];
  }),
);
