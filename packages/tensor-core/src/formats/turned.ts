import { ArgumentError } from '../errors.js';
import type { PackedFormat } from './format.js';
import { hadamardRows } from './hadamard.js';

const SUFFIX = '-hadamard';

/** The name of the format that holds the turned columns; null for names of other kinds. */
export function parseTurned(name: string): string | null {
  return name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : null;
}

/**
 * A matrix W as W R in another format, R being the orthogonal matrix of {@link hadamardRows}: no column stands out in it, and in
 * the product x Wᵀ = (x R)(W R)ᵀ none of the activations does either when they are rounded per token (QuaRot, Ashkboos et
 * al. 2024, arXiv:2404.00456, where nothing before the layer can be turned instead). `PackedTensor` turns what it multiplies.
 */
export function turnedFormat(inner: PackedFormat): PackedFormat {
  if (inner.turned || inner.orderPart !== undefined) {
    throw new ArgumentError({
      where: 'packedFormat',
      what: 'only formats with columns in their own order can hold turned ones',
      got: `${inner.name}${SUFFIX}`,
    });
  }
  return {
    name: `${inner.name}${SUFFIX}`,
    activation: inner.activation,
    turned: inner.name,
    parts: inner.parts,
    rowByRow: inner.rowByRow,
    pack: (values, rows, columns) => inner.pack(hadamardRows(values, columns), rows, columns),
    unpack(parts, range, out) {
      inner.unpack(parts, range, out);
      const count = range.rowCount * range.columns;
      out.set(hadamardRows(out.subarray(0, count), range.columns, true));
    },
  };
}
