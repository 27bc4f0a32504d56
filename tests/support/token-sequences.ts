/** Sequences of ids below `vocabulary` that differ and repeat themselves unevenly, as texts for models that never saw text. */
export function tokenSequences(count: number, length: number, vocabulary: number): Int32Array[] {
  return Array.from({ length: count }, (_, s) =>
    Int32Array.from({ length }, (_, i) => (i * i * (s + 3) + s) % vocabulary),
  );
}
