/**
 * The order that undoes ggml's permutation of queries and keys: within a head, the file has rotary pairs (i, i + D/2)
 * side by side, the model has all first halves before all second ones. Row r here is row `order[r]` there.
 */
export function pairedRows(rows: number, headSize: number): Int32Array {
  const half = headSize / 2;
  return Int32Array.from({ length: rows }, (_, row) => {
    const inHead = row % headSize;
    return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
  });
}

/** The order that undoes `order`. */
export function inverseOrder(order: Int32Array): Int32Array {
  const inverse = new Int32Array(order.length);
  order.forEach((source, row) => {
    inverse[source] = row;
  });
  return inverse;
}
