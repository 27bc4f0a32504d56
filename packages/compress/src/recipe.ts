import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { RecipeError } from './errors.js';

const targetsSchema = z.strictObject({
  /** Globs over module paths: `*` matches within a name, `**` across dots. */
  include: z.array(z.string().min(1)).min(1),
  exclude: z.array(z.string().min(1)).optional(),
});

/** Options of a modifier stand beside `type` and `targets`; the modifier checks them. */
const modifierSchema = z.looseObject({
  type: z.string().regex(/^[a-z0-9]+(\.[a-z0-9-]+)+$/),
  targets: targetsSchema,
});

const recipeSchema = z.strictObject({
  version: z.literal(1),
  seed: z.number().int().nonnegative(),
  stages: z
    .array(
      z.strictObject({
        name: z.string().min(1),
        modifiers: z.array(modifierSchema).min(1),
        /** How the stage trains, in the words of the trainer that is passed in: steps, learning rate. */
        training: z.record(z.string(), z.unknown()).optional(),
      }),
    )
    .min(1),
});

export type Targets = z.infer<typeof targetsSchema>;
export type ModifierSpec = z.infer<typeof modifierSchema>;
/** What shall be done to a model, as data: JSON or YAML. Stages run in order; methods of a stage together. */
export type Recipe = z.infer<typeof recipeSchema>;

/** @throws RecipeError listing every wrong field */
export function parseRecipe(source: string | object, file = 'recipe'): Recipe {
  let data: unknown = source;
  if (typeof source === 'string') {
    try {
      data = parseYaml(source);
    } catch (cause) {
      throw new RecipeError({
        where: file,
        what: 'is not YAML or JSON',
        got: (cause as Error).message,
        cause,
      });
    }
  }
  const parsed = recipeSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new RecipeError({ where: file, what: 'is not a recipe', got: z.prettifyError(parsed.error) });
}

/** Whether a path is one of the targets. */
export function matchesTargets({ include, exclude = [] }: Targets, path: string): boolean {
  const matches = (glob: string) => globToRegExp(glob).test(path);
  return include.some(matches) && !exclude.some(matches);
}

/** Searched recipes name every layer, and each is asked for often. */
const expressions = new Map<string, RegExp>();

function globToRegExp(glob: string): RegExp {
  const known = expressions.get(glob);
  if (known) return known;
  const pattern = glob
    .split('**')
    .map((part) =>
      part
        .split('*')
        .map((text) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
        .join('[^.]*'),
    )
    .join('.*');
  const expression = new RegExp(`^${pattern}$`);
  expressions.set(glob, expression);
  return expression;
}
