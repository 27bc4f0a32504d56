import { ArgumentError } from '../errors.js';

/** Share of the mean that every column counts at least: a column that never saw an activation keeps sane values. */
const LEAST = 1e-6;

/**
 * What the squared error of each column counts, with a mean of about 1; all alike when the importance is 0 everywhere.
 * @param importance f32 [columns]
 * @throws ArgumentError for another length, and for numbers that are negative or not finite
 */
export function columnWeights(where: string, importance: Float32Array, columns: number): Float32Array {
  if (importance.length !== columns) {
    throw new ArgumentError({
      where,
      what: 'the importance has not one number for each column',
      got: String(importance.length),
      expected: String(columns),
    });
  }
  const wrong = importance.findIndex((value) => !(value >= 0 && Number.isFinite(value)));
  if (wrong >= 0) {
    throw new ArgumentError({
      where,
      what: `the importance of column ${wrong} is no weight`,
      got: String(importance[wrong]),
      expected: 'a finite number, at least 0',
      hint: 'Look for activations that overflow during calibration.',
    });
  }
  const mean = importance.reduce((sum, value) => sum + value / columns, 0);
  if (mean === 0) return new Float32Array(columns).fill(1);
  return importance.map((value) => value / mean + LEAST);
}
