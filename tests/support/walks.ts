/** Numbers that follow from the one before, but for one in eight: sequences of 24 out of 32. */
export function walks(count: number, seed: number): Int32Array[] {
  let state = seed * 2654435761 + 1;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
  return Array.from({ length: count }, () => {
    const sequence = new Int32Array(24);
    for (let i = 0; i < 24; i++)
      sequence[i] = (i === 0 || draw() % 8 === 0 ? draw() : 5 * sequence[i - 1] + 3) % 32;
    return sequence;
  });
}
