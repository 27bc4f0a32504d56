import { ArgumentError } from '../errors.js';
import { packedLength, readCode, writeCode } from './bits.js';
import { anyLength, type PackedFormat, type PartArray, type PartInfo } from './format.js';
import { roundHalfEven } from './rounding.js';
import { floatStorages } from './small-float.js';

type SparseValues = 'f32' | 'bf16' | 'f16' | 'int8';

export interface Sparse {
  /** At most n values of each m neighbours of a row; null: any pattern, by bitmap. */
  readonly pattern: { readonly n: number; readonly m: number } | null;
  /** bf16 when the name says nothing; int8 has an f32 scale per row. */
  readonly values: SparseValues;
}

const grammar = /^(?:([1-9]\d?):([1-9]\d?)|bitmap)(-f32|-f16|-int8)?$/;

/** `2:4`, `4:8-int8`, `bitmap-f32`; null for names of other kinds. @throws ArgumentError for impossible patterns */
export function parseSparse(name: string): Sparse | null {
  const match = grammar.exec(name);
  if (!match) return null;
  const [, n, m, suffix] = match;
  const values = (suffix?.slice(1) ?? 'bf16') as SparseValues;
  if (n === undefined) return { pattern: null, values };
  const pattern = { n: Number(n), m: Number(m) };
  if (pattern.n < pattern.m && pattern.m <= 32) return { pattern, values };
  throw new ArgumentError({
    where: 'packedFormat',
    what: 'not a sparse pattern',
    got: name,
    expected: 'n:m with n < m ≤ 32',
  });
}

/** The values that a format keeps, in a storage of their own. */
interface ValueStorage {
  parts(rows: number, shape: readonly number[]): PartInfo[];
  /** `rowOf(i)`: the row of kept value i. */
  encode(kept: Float32Array, rows: number, rowOf: (i: number) => number): PartArray[];
  decode(parts: readonly PartArray[], i: number, row: number): number;
}

function valueStorage(kind: SparseValues): ValueStorage {
  if (kind !== 'int8') {
    const storage = floatStorages[kind];
    return {
      parts: (_, shape) => [{ name: 'values', dtype: kind, shape }],
      encode: (kept) => {
        const values = storage.create(kept.length);
        kept.forEach((value, i) => void storage.write(values, i, value));
        return [values];
      },
      decode: ([values], i) => storage.read(values, i),
    };
  }
  return {
    parts: (rows, shape) => [
      { name: 'values', dtype: 'i8', shape },
      { name: 'scales', dtype: 'f32', shape: [rows] },
    ],
    encode: (kept, rows, rowOf) => {
      const scales = new Float32Array(rows);
      kept.forEach((value, i) => {
        scales[rowOf(i)] = Math.max(scales[rowOf(i)], Math.abs(value));
      });
      for (let r = 0; r < rows; r++) scales[r] /= 127;
      const codes = Int8Array.from(kept, (value, i) => {
        const scale = scales[rowOf(i)];
        return scale === 0 ? 0 : Math.max(-127, Math.min(127, roundHalfEven(Math.fround(value / scale))));
      });
      return [codes, scales];
    },
    decode: ([codes, scales], i, row) => codes[i] * scales[row],
  };
}

export function sparse({ pattern, values }: Sparse): PackedFormat {
  const suffix = values === 'bf16' ? '' : `-${values}`;
  return pattern
    ? structured(`${pattern.n}:${pattern.m}${suffix}`, pattern.n, pattern.m, valueStorage(values))
    : bitmap(`bitmap${suffix}`, valueStorage(values));
}

/**
 * n values of every m neighbours (NVIDIA's 2:4 and its kin); packing keeps those of the largest magnitude. Parts:
 * `values` [rows, ⌈columns / m⌉ · n]; `scales` f32 [rows] for int8; `positions` u8: a row's places within the m, ⌈log2 m⌉ bits
 * each, ascending within a group, as one stream of bits, lowest first.
 */
function structured(name: string, n: number, m: number, storage: ValueStorage): PackedFormat {
  const bits = Math.ceil(Math.log2(m));
  const keptOf = (columns: number) => Math.ceil(columns / m) * n;
  return {
    name,
    activation: 'none',
    parts: (rows, columns) => [
      ...storage.parts(rows, [rows, keptOf(columns)]),
      { name: 'positions', dtype: 'u8', shape: [rows, packedLength(keptOf(columns), bits)] },
    ],
    pack: (all, rows, columns) => {
      const perRow = keptOf(columns);
      const kept = new Float32Array(rows * perRow);
      const positions = new Uint8Array(rows * packedLength(perRow, bits));
      for (let r = 0; r < rows; r++) {
        for (let g = 0; g * m < columns; g++) {
          const start = r * columns + g * m;
          const width = Math.min(m, columns - g * m);
          for (const [i, place] of largest(all.subarray(start, start + width), n, m).entries()) {
            kept[r * perRow + g * n + i] = place < width ? all[start + place] : 0;
            writeCode(positions, r * packedLength(perRow, bits), g * n + i, bits, place);
          }
        }
      }
      return [...storage.encode(kept, rows, (i) => Math.floor(i / perRow)), positions];
    },
    unpack: (parts, { columns, rowStart, rowCount }, out) => {
      const perRow = keptOf(columns);
      const positions = parts[parts.length - 1];
      out.fill(0, 0, rowCount * columns);
      for (let r = 0; r < rowCount; r++) {
        const row = rowStart + r;
        for (let i = 0; i < perRow; i++) {
          const place = readCode(positions as Uint8Array, row * packedLength(perRow, bits), i, bits);
          const column = Math.floor(i / n) * m + place;
          if (column < columns) out[r * columns + column] = storage.decode(parts, row * perRow + i, row);
        }
      }
    },
  };
}

/** Ascending places of the n largest magnitudes among m, the earlier of equal ones; missing values count as smallest. */
function largest(values: Float32Array, n: number, m: number): number[] {
  const magnitude = (i: number) => (i < values.length ? Math.abs(values[i]) : -1);
  const places = Array.from({ length: m }, (_, i) => i);
  places.sort((a, b) => magnitude(b) - magnitude(a) || a - b);
  return places.slice(0, n).sort((a, b) => a - b);
}

/**
 * Only what is not zero. Parts: `values` [kept]; `scales` f32 [rows] for int8; `bitmap` u8 [rows, ⌈columns / 8⌉], lowest bit first;
 * `rowStarts` i32 [rows + 1]: where each row's values begin.
 */
function bitmap(name: string, storage: ValueStorage): PackedFormat {
  const bytesOf = (columns: number) => Math.ceil(columns / 8);
  return {
    name,
    activation: 'none',
    parts: (rows, columns) => [
      ...storage.parts(rows, [anyLength]),
      { name: 'bitmap', dtype: 'u8', shape: [rows, bytesOf(columns)] },
      { name: 'rowStarts', dtype: 'i32', shape: [rows + 1] },
    ],
    pack: (all, rows, columns) => {
      const bits = new Uint8Array(rows * bytesOf(columns));
      const rowStarts = new Int32Array(rows + 1);
      const kept: number[] = [];
      const rowOfKept: number[] = [];
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < columns; c++) {
          if (all[r * columns + c] === 0) continue;
          bits[r * bytesOf(columns) + (c >>> 3)] |= 1 << (c & 7);
          kept.push(all[r * columns + c]);
          rowOfKept.push(r);
        }
        rowStarts[r + 1] = kept.length;
      }
      return [...storage.encode(Float32Array.from(kept), rows, (i) => rowOfKept[i]), bits, rowStarts];
    },
    unpack: (parts, { columns, rowStart, rowCount }, out) => {
      const [bits, rowStarts] = parts.slice(-2);
      for (let r = 0; r < rowCount; r++) {
        const row = rowStart + r;
        let next = rowStarts[row];
        for (let c = 0; c < columns; c++) {
          const present = (bits[row * bytesOf(columns) + (c >>> 3)] >>> (c & 7)) & 1;
          out[r * columns + c] = present ? storage.decode(parts, next++, row) : 0;
        }
      }
    },
  };
}
