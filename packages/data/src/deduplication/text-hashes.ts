import { createHash } from 'node:crypto';

/**
 * Finds texts seen before by 64 bits of their SHA-256: 16 to 32 bytes each. Two different ones among a million are taken for
 * the same with a chance of 3e-8.
 */
export class TextHashes {
  private hashes = new BigUint64Array(2 ** 12);
  private values = new Uint32Array(2 ** 12);
  private size = 0;

  /** The value of an equal text, or undefined, and then `value` is kept for this one. */
  findOrAdd(text: string, value: number): number | undefined {
    if (this.size > this.hashes.length * 0.75) this.grow();
    const hash = createHash('sha256').update(text).digest().readBigUInt64LE() | 1n; // zero marks a free slot
    const slot = this.slotOf(hash);
    if (this.hashes[slot] === hash) return this.values[slot];
    this.hashes[slot] = hash;
    this.values[slot] = value;
    this.size++;
    return undefined;
  }

  private slotOf(hash: bigint): number {
    const mask = this.hashes.length - 1;
    let slot = Number(hash >> 32n) & mask;
    while (this.hashes[slot] !== 0n && this.hashes[slot] !== hash) slot = (slot + 1) & mask;
    return slot;
  }

  private grow(): void {
    const { hashes, values } = this;
    this.hashes = new BigUint64Array(hashes.length * 2);
    this.values = new Uint32Array(hashes.length * 2);
    for (let i = 0; i < hashes.length; i++) {
      if (hashes[i] === 0n) continue;
      const slot = this.slotOf(hashes[i]);
      this.hashes[slot] = hashes[i];
      this.values[slot] = values[i];
    }
  }
}
