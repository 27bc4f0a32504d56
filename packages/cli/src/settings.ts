import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { CommandError } from './errors.js';
import { readTextFile } from './files.js';
import { nearest } from './nearest.js';

/** An object without other keys; the message names the key that was probably meant, or those that exist. */
export function settings<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => unknownKey(key, known)).join('; ')
        : undefined,
  });
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return `unknown ${key}${meant === undefined ? ` (known: ${known.join(', ')})` : `; did you mean ${meant}?`}`;
}

/**
 * The contents of a file in YAML or JSON.
 * @throws CommandError when it is neither, or holds no object
 */
export async function readSettingsFile(file: string, hint: string): Promise<unknown> {
  const text = await readTextFile(file);
  try {
    const value: unknown = parseYaml(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch (cause) {
    throw new CommandError({
      where: file,
      what: 'the file is not YAML or JSON',
      got: (cause as Error).message.split('\n')[0].replace(/:$/, ''),
      cause,
    });
  }
  throw new CommandError({ where: file, what: 'the file holds no settings', hint });
}

/** @throws CommandError listing every wrong field */
export function checkSettings<T>(schema: z.ZodType<T>, value: unknown, where: string, hint: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => {
    const text = /received undefined$/.test(message) ? 'is missing' : message.replace(/^Invalid input: /, '');
    return [...(path.length > 0 ? [path.join('.')] : []), text].join(': ');
  });
  throw new CommandError({ where, what: `the settings are wrong: ${problems.join('; ')}`, hint });
}
