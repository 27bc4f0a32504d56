/** Nearest integer, ties to even: what the hardware does, and unlike Math.round free of bias. */
export function roundHalfEven(value: number): number {
  // Exact for |value| < 2^51: the sum has no room for fractions, so it is rounded by IEEE rules.
  const magic = 6755399441055744;
  return value + magic - magic;
}
