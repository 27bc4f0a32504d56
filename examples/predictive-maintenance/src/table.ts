import { readFileSync } from 'node:fs';

/** Readings of trucks, each once: NaN where a sensor said nothing. */
export interface Table {
  readonly sensors: number;
  readonly rows: readonly Float64Array[];
  /** 1: a failure of the air-pressure system. */
  readonly labels: readonly number[];
  /** Rows of the file, copies included. */
  readonly read: number;
}

/** Reads the CSV (class, then one column per sensor). Copies of a row are dropped: they would sit on both sides of a split. */
export function readTable(file: string): Table {
  const [header, ...lines] = readFileSync(file, 'utf8').trim().split(/\r?\n/);
  const sensors = header.split(',').length - 1;
  const distinct = [...new Set(lines)].map((line) => line.split(','));
  return {
    sensors,
    rows: distinct.map(([, ...cells]) =>
      Float64Array.from(cells, (cell) => (cell === '' ? Number.NaN : Number(cell))),
    ),
    labels: distinct.map(([label]) => Number(label)),
    read: lines.length,
  };
}

/** Standardises as the given rows say, and no others: log(1 + x), medians for missing values, mean 0, deviation 1. */
export function fitScaling(rows: readonly Float64Array[]): (row: Float64Array) => Float32Array {
  const columns = Array.from({ length: rows[0].length }, (_, c) => {
    const known = rows.map((row) => Math.log1p(row[c])).filter((value) => !Number.isNaN(value));
    known.sort((a, b) => a - b);
    const median = known[known.length >> 1] ?? 0;
    const missing = rows.length - known.length;
    const mean = (known.reduce((sum, value) => sum + value, 0) + missing * median) / rows.length;
    const squares = known.reduce((sum, value) => sum + (value - mean) ** 2, missing * (median - mean) ** 2);
    return { median, mean, deviation: Math.sqrt(squares / rows.length) || 1 };
  });
  return (row) =>
    Float32Array.from(row, (value, c) => {
      const { median, mean, deviation } = columns[c];
      const scaled = ((Number.isNaN(value) ? median : Math.log1p(value)) - mean) / deviation;
      return Math.max(-5, Math.min(5, scaled)); // a broken sensor says 2³¹ - 2
    });
}
