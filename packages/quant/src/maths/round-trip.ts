import { codeOf, fitGroup, type Grid } from './grid.js';

/** Every weight replaced with the nearest value of its group's grid; row-major [rows, columns], not in place. */
export function roundTrip(
  weight: Float32Array,
  [rows, columns]: readonly [number, number],
  grid: Grid,
): Float32Array {
  const out = new Float32Array(weight.length);
  const last = 2 ** grid.bits - 1;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c += grid.groupSize) {
      const start = r * columns + c;
      const end = r * columns + Math.min(columns, c + grid.groupSize);
      const { scale, zero } = fitGroup(weight, start, end, grid);
      for (let i = start; i < end; i++) out[i] = (codeOf(weight[i], scale, zero, last) - zero) * scale;
    }
  }
  return out;
}
