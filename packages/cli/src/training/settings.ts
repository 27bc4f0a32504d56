import { z } from 'zod';
import { nearest } from '../nearest.js';

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
