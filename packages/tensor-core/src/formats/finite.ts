/**
 * Index of the first NaN or infinity, -1 for none. A plain loop: millions of calls of a predicate take longer than what
 * is done with the values.
 */
export function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}
