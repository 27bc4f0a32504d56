/** Units of a coupling (neurons, key heads) and which of a consumer's columns belong to each. */
export interface UnitColumns {
  readonly units: number;
  readonly columnsPerUnit: number;
}

/**
 * How much each unit contributes to the output of the layer that reads it: Σ over its columns of Σ x² · ‖w_column‖²,
 * the squared size of what the column adds, over the calibration rows.
 * @param weight row-major [rows, units · columnsPerUnit]
 * @param squares [columns]: Σ x²
 */
export function unitImportance(
  weight: Float32Array,
  squares: Float32Array,
  { units, columnsPerUnit }: UnitColumns,
): Float64Array {
  const columns = squares.length;
  const lengths = new Float64Array(columns);
  for (let i = 0; i < weight.length; i++) lengths[i % columns] += weight[i] * weight[i];
  const importance = new Float64Array(units);
  for (let c = 0; c < columns; c++) importance[Math.floor(c / columnsPerUnit)] += squares[c] * lengths[c];
  return importance;
}

/** The `count` most important units, in their order; of equals the first. */
export function mostImportant(importance: ArrayLike<number>, count: number): number[] {
  const order = Array.from(importance, (_, i) => i).sort((a, b) => importance[b] - importance[a] || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

/** Entries of the given units: unit u has u·n … u·n+n-1. */
export function entriesOf(units: readonly number[], entriesPerUnit: number): Int32Array {
  return Int32Array.from(
    units.flatMap((unit) => Array.from({ length: entriesPerUnit }, (_, i) => unit * entriesPerUnit + i)),
  );
}
