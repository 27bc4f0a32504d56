/** Bytes of `count` codes of `bits` bits, packed without gaps. */
export function packedLength(count: number, bits: number): number {
  return Math.ceil((count * bits) / 8);
}

/** Writes a code of up to 8 bits at position `index` of a stream that begins at byte `start`, lowest bits first. The bytes must be 0. */
export function writeCode(bytes: Uint8Array, start: number, index: number, bits: number, code: number): void {
  const position = index * bits;
  const at = start + (position >>> 3);
  const shift = position & 7;
  bytes[at] |= code << shift;
  if (shift + bits > 8) bytes[at + 1] |= code >>> (8 - shift);
}

/** Reads what {@link writeCode} has written. */
export function readCode(bytes: ArrayLike<number>, start: number, index: number, bits: number): number {
  const position = index * bits;
  const at = start + (position >>> 3);
  const shift = position & 7;
  const word = shift + bits > 8 ? bytes[at] | (bytes[at + 1] << 8) : bytes[at];
  return (word >>> shift) & ((1 << bits) - 1);
}
