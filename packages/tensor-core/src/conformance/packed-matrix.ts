import { type PartArray, packedFormat } from '../formats/index.js';
import { streamOf } from './stream.js';

/** Packing takes longer than all that is checked with it, and each instruction set asks for the same matrices. */
const packed = new Map<string, readonly PartArray[]>();

/**
 * The parts of a matrix of random numbers in -1 … 1, a third of them 0; always the same for equal arguments. A format that
 * stores columns in an order of its own gets them reversed, so that the order matters.
 */
export function packedMatrix(format: string, rows: number, columns: number): readonly PartArray[] {
  const key = `${format} ${rows} ${columns}`;
  const known = packed.get(key);
  if (known) return known;
  const random = streamOf(key);
  const values = Float32Array.from({ length: rows * columns }, () => {
    const value = 2 * random() - 1;
    return random() < 1 / 3 ? 0 : value;
  });
  const { pack, orderPart } = packedFormat(format);
  const parts = pack(values, rows, columns);
  if (orderPart !== undefined) parts[orderPart].reverse();
  packed.set(key, parts);
  return parts;
}
