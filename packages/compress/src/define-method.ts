import { z } from 'zod';
import { RecipeError } from './errors.js';
import type { Modifier, ModifierFactory } from './modifier.js';

/**
 * A method by its type in recipes, the options that it takes there beside `type` and `targets`, and what it does.
 * `create` may throw an ArgumentError for options that do not go together.
 */
export function defineMethod<O extends z.ZodRawShape>(
  type: string,
  options: O,
  create: (options: z.infer<z.ZodObject<O, z.core.$strict>>) => Omit<Modifier, 'spec'>,
): ModifierFactory {
  const schema = z.strictObject(options);
  return {
    type,
    create(spec) {
      const { type: _, targets, ...given } = spec;
      const parsed = schema.safeParse(given);
      if (parsed.success) return { spec, ...create(parsed.data) };
      throw new RecipeError({
        where: type,
        what: 'bad options',
        got: z.prettifyError(parsed.error),
        expected: Object.keys(options).join(', ') || 'no options',
      });
    },
  };
}
