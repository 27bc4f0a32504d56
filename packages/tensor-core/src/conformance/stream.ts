import { uniformStream } from '../gradcheck.js';

/** A stream of uniform numbers in [0, 1) that depends on a name alone. */
export function streamOf(name: string): () => number {
  let seed = 2166136261;
  for (let i = 0; i < name.length; i++) seed = Math.imul(seed ^ name.charCodeAt(i), 16777619);
  return uniformStream(seed);
}
