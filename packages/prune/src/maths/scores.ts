/** |w|: what is small matters little (Han et al. 2015, arXiv:1506.02626). */
export function magnitudeScores(weight: Float32Array): Float32Array {
  return weight.map(Math.abs);
}

/**
 * Wanda (Sun et al. 2023, arXiv:2306.11695): |w_rc| · ‖x_c‖, compared within each row.
 * @param squares [columns]: Σ x² of each input column
 */
export function wandaScores(weight: Float32Array, squares: Float32Array): Float32Array {
  const columns = squares.length;
  const norms = squares.map(Math.sqrt);
  return weight.map((value, i) => Math.abs(value) * norms[i % columns]);
}
