/** Of so many nearest rows one is drawn. */
const NEIGHBOURS = 10;
/** Share of the readings that a new row takes from a neighbour. */
const TAKEN = 0.3;

/**
 * New rows like the given ones, for a teacher to say what it thinks of them: each has some of its readings from a near
 * neighbour (after Buciluă, Caruana & Niculescu-Mizil 2006, "Model Compression", whose MUNGE also blurs them). Near is meant
 * among the scaled readings, in which all sensors count the same.
 * @returns `copies` new rows for each
 */
export function likeRows(
  rows: readonly Float64Array[],
  scaled: readonly Float32Array[],
  copies: number,
  random: () => number,
): Float64Array[] {
  const neighbours = scaled.map((row) => nearest(row, scaled));
  return Array.from({ length: copies * rows.length }, (_, at) => {
    const i = at % rows.length;
    const other = rows[neighbours[i][Math.floor(random() * neighbours[i].length)]];
    return rows[i].map((value, c) => (random() < TAKEN ? other[c] : value));
  });
}

function nearest(row: Float32Array, rows: readonly Float32Array[]): number[] {
  const found = rows
    .map((other, index) => {
      let distance = 0;
      for (let c = 0; c < row.length; c++) distance += (row[c] - other[c]) ** 2;
      return { index, distance };
    })
    .filter(({ index }) => rows[index] !== row);
  found.sort((a, b) => a.distance - b.distance);
  return found.slice(0, NEIGHBOURS).map(({ index }) => index);
}
