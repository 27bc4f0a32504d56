import { packedFormat } from '@frugal/tensor-core/formats';
import { elements, fill } from '../views.js';
import type { Family } from './machine.js';

/** Formats bring their own definition over plain arrays; core makes products of the rows that are unpacked here. */
export const packedKernels: Family<'unpack'> = () => ({
  unpack: (parts, [output], { format, rows, columns, rowStart, rowCount }) => {
    const unpacked = new Float32Array(rowCount * columns);
    packedFormat(format).unpack(parts.map(elements), { rows, columns, rowStart, rowCount }, unpacked);
    fill(output, (out) => out.set(unpacked));
  },
});
