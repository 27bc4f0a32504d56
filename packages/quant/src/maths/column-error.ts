/**
 * What a rounding changes of a layer's output, as a share of the output: Σ c · (w - w')² / Σ c · w² with c the sum of squares of
 * each column's inputs, the diagonal of tr(D G Dᵀ) / tr(W G Wᵀ). 0 where no input reaches the layer.
 * @param weight row-major [rows, columns], as `rounded`
 */
export function columnErrorShare(
  weight: Float32Array,
  rounded: Float32Array,
  squares: ArrayLike<number>,
): number {
  const columns = squares.length;
  let error = 0;
  let output = 0;
  for (let i = 0; i < weight.length; i++) {
    const square = squares[i % columns];
    const difference = weight[i] - rounded[i];
    error += square * difference * difference;
    output += square * weight[i] * weight[i];
  }
  return output > 0 ? error / output : 0;
}
