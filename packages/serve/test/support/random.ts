/** Numbers from 0 to 1, always the same for a seed (a linear congruential generator: Numerical Recipes, section 7.1). */
export function drawer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
