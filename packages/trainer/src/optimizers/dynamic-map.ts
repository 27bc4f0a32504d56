/** Decades that a map covers, 1e-6 … 1. */
const DECADES = 7;

/**
 * The dynamic data type of 8-bit optimizers (Dettmers 2015, arXiv:1511.04561; as bitsandbytes' create_dynamic_map):
 * 256 ascending numbers, 0 and 1 among them. Each decade from 1e-6 to 1 has twice as many as the one below, evenly
 * spaced in it, so that small numbers keep their size and large ones their digits. `signed`: half of them below 0.
 */
export function dynamicMap({ signed }: { readonly signed: boolean }): Float32Array {
  const numbers = [0, 1];
  for (let decade = 0; decade < DECADES; decade++) {
    const count = 2 ** (signed ? decade : decade + 1);
    for (let i = 0; i < count; i++) {
      const middle = 0.1 + (0.9 * (i + 0.5)) / count; // of the i-th of `count` equal parts of [0.1, 1]
      const number = middle * 10 ** (decade - DECADES + 1);
      numbers.push(number);
      if (signed) numbers.push(-number);
    }
  }
  return Float32Array.from(numbers).sort();
}
