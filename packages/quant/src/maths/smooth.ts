import { ArgumentError } from '@frugal/tensor-core';

/**
 * SmoothQuant (Xiao et al. 2022, arXiv:2211.10438): moves outliers from activations to weights,
 * s_c = max|x_c|^a / max|w_c|^(1-a). Activations are divided by s, weight columns multiplied.
 * @param activations [columns]: largest |x| of each column
 * @param weights [columns]: largest |w| of each column, over all layers that read the input
 */
export function smoothScales(
  activations: Float32Array,
  weights: Float32Array,
  strength: number,
): Float32Array {
  if (!(strength >= 0 && strength <= 1)) {
    throw new ArgumentError({
      where: 'smoothScales',
      what: 'strength out of range',
      got: String(strength),
      expected: '0 (all in the activations) to 1 (all in the weights)',
    });
  }
  return activations.map((x, c) => {
    const scale = Math.max(x, 1e-5) ** strength / Math.max(weights[c], 1e-5) ** (1 - strength);
    return x > 0 && Number.isFinite(scale) ? scale : 1; // a column that never fires stays as it is
  });
}

/** Largest |w| of each column over several matrices of the same width. */
export function columnMaxima(weights: readonly Float32Array[], columns: number): Float32Array {
  const largest = new Float32Array(columns);
  for (const weight of weights)
    for (let i = 0; i < weight.length; i++)
      largest[i % columns] = Math.max(largest[i % columns], Math.abs(weight[i]));
  return largest;
}
