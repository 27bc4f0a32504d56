import { mixBits } from '../words.js';

/** Elements of a signature: one byte each. A power of two. */
export const SIGNATURE_LENGTH = 128;

const BIN_SHIFT = 32 - Math.log2(SIGNATURE_LENGTH);
const EMPTY = 0xffffffff;
/** Draws before an empty bin takes the next filled one: short texts leave nearly all bins empty. */
const ATTEMPTS = 8;
const bins = new Uint32Array(SIGNATURE_LENGTH);
const nearestFilled = new Uint8Array(SIGNATURE_LENGTH);

/**
 * MinHash signature of a set, from one hash per element: the hash chooses a bin, and each bin keeps its least (one permutation
 * hashing, Li, Owen and Zhang 2012). Empty bins borrow from others, chosen by position alone (optimal densification,
 * Shrivastava 2017). Elements are cut to 8 bits (b-bit minwise hashing, Li and König 2010): those of unlike sets agree once
 * in 256.
 * @param hashes at least one; repetitions change nothing
 * @param signature SIGNATURE_LENGTH bytes, overwritten
 */
export function minHash(hashes: Uint32Array, signature: Uint8Array): void {
  bins.fill(EMPTY);
  for (let i = 0; i < hashes.length; i++) {
    const hash = hashes[i];
    const bin = hash >>> BIN_SHIFT;
    if (hash < bins[bin]) bins[bin] = hash;
  }
  densify(signature);
}

/** Cuts the bins to bytes; the position is mixed in, so that one chance agreement is not one everywhere. */
function densify(signature: Uint8Array): void {
  findNearestFilled();
  for (let i = 0; i < SIGNATURE_LENGTH; i++) {
    let from = i;
    for (let attempt = 1; attempt <= ATTEMPTS && bins[from] === EMPTY; attempt++) {
      from = mixBits(i * 0x10001 + attempt) >>> BIN_SHIFT;
    }
    signature[i] = mixBits(bins[nearestFilled[from]] ^ Math.imul(i + 1, 0x9e3779b1));
  }
}

/** The bin itself or the next one that is filled, around the end (Shrivastava and Li 2014). */
function findNearestFilled(): void {
  let nearest = 0;
  for (let i = 2 * SIGNATURE_LENGTH - 1; i >= 0; i--) {
    const bin = i % SIGNATURE_LENGTH;
    if (bins[bin] !== EMPTY) nearest = bin;
    nearestFilled[bin] = nearest;
  }
}
