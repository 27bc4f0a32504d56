import { parseRecipe, type Recipe } from '@frugal/compress';

const targets = { include: ['blocks.**'] };

const recipeOf = (...stages: object[][]): Recipe =>
  parseRecipe({
    version: 1,
    seed: 0,
    stages: stages.map((modifiers, i) => ({ name: `stage ${i + 1}`, modifiers })),
  });

const shared = (values: number, importance: string) => ({
  type: 'example.shared-values',
  targets,
  values,
  importance,
});

/** Our method with and without calibration, and one of Frugal's: by what the table calls them. */
export const comparedRecipes: readonly (readonly [name: string, recipe: Recipe])[] = [
  ...[8, 4].flatMap((values) => [
    [`${values} values per row, all weights alike`, recipeOf([shared(values, 'none')])] as const,
    [`${values} values per row, by calibration`, recipeOf([shared(values, 'calibration')])] as const,
  ]),
  ['quant.rtn int3-g32', recipeOf([{ type: 'quant.rtn', targets, format: 'int3-g32', activation: 'none' }])],
];

/** A later stage that brings other numbers. */
export const brokenRecipe = recipeOf(
  [shared(4, 'none')],
  [{ type: 'quant.rtn', targets, format: 'int8-g32', activation: 'none' }],
);
