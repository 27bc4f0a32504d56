import { SIGNATURE_LENGTH } from './min-hash.js';

/** Signatures per block: growing moves nothing, and at most 2 MB lie idle. */
const BLOCK = 2 ** 14;

/** Signatures of many documents: SIGNATURE_LENGTH bytes each, in blocks. */
export class SignatureTable {
  private readonly blocks: Uint8Array[] = [];
  private size = 0;

  get length(): number {
    return this.size;
  }

  add(signature: Uint8Array): void {
    const [block, row] = [Math.floor(this.size / BLOCK), this.size % BLOCK];
    if (row === 0) this.blocks.push(new Uint8Array(BLOCK * SIGNATURE_LENGTH));
    this.blocks[block].set(signature, row * SIGNATURE_LENGTH);
    this.size++;
  }

  /** 32-bit hash of `count` elements from `start`. */
  hash(index: number, start: number, count: number): number {
    const block = this.blocks[Math.floor(index / BLOCK)];
    const from = (index % BLOCK) * SIGNATURE_LENGTH + start;
    let hash = 0x811c9dc5;
    for (let i = from; i < from + count; i++) hash = Math.imul(hash ^ block[i], 0x9e3779b1) ^ (hash >>> 13);
    return hash >>> 0;
  }

  /** Whether elements `start` … `start + count` of both are the same. */
  agree(a: number, b: number, start: number, count: number): boolean {
    return this.matches(a, b, start, count) === count;
  }

  /** Estimate of the Jaccard similarity of the sets behind two signatures, chance agreement taken off. */
  similarity(a: number, b: number): number {
    const share = this.matches(a, b, 0, SIGNATURE_LENGTH) / SIGNATURE_LENGTH;
    return (share - 1 / 256) / (1 - 1 / 256);
  }

  private matches(a: number, b: number, start: number, count: number): number {
    const [left, right] = [this.blocks[Math.floor(a / BLOCK)], this.blocks[Math.floor(b / BLOCK)]];
    const [i, j] = [(a % BLOCK) * SIGNATURE_LENGTH + start, (b % BLOCK) * SIGNATURE_LENGTH + start];
    let matches = 0;
    for (let k = 0; k < count; k++) if (left[i + k] === right[j + k]) matches++;
    return matches;
  }
}
