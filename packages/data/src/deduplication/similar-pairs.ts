import { DisjointSets } from './disjoint-sets.js';
import { SIGNATURE_LENGTH } from './min-hash.js';
import type { SignatureTable } from './signature-table.js';

/**
 * Elements per band. 21 bands of 6: a pair of similarity s meets in one of them with 1 − (1 − s⁶)²¹, 0.998 at 0.8 and 0.07
 * at 0.4; the estimate over the whole signature decides about those that meet.
 */
const ROWS = 6;
const BANDS = Math.floor(SIGNATURE_LENGTH / ROWS);
/** A band shared by thousands that are not alike is boilerplate: so many of them are compared and no more. */
const CANDIDATES = 32;
/**
 * Estimates so far below the threshold still count, so that sampling hardly costs recall: at 0.8 these are 5.6 standard errors of
 * texts that fill a signature, and 2.5 of one of 26 runs. Who is a copy is for a comparison of whole texts to say.
 */
const MARGIN = 0.2;

/**
 * Sets within which documents may be alike, at once or through others: banding (Rajaraman and Ullman, Mining of Massive
 * Datasets, 3.4). Deterministic.
 */
export function groupSimilar(signatures: SignatureTable, threshold: number): DisjointSets {
  const sets = new DisjointSets(signatures.length);
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(2, signatures.length * 1.5))));
  const next = new Uint32Array(signatures.length);
  for (let band = 0; band < BANDS; band++) {
    slots.fill(0);
    for (let index = 0; index < signatures.length; index++) {
      meet(index, band * ROWS, { signatures, sets, slots, next, threshold });
    }
  }
  return sets;
}

interface Band {
  readonly signatures: SignatureTable;
  readonly sets: DisjointSets;
  /** First document (+ 1) with a hash, 0 for none; `next` chains the others, oldest last. */
  readonly slots: Uint32Array;
  readonly next: Uint32Array;
  readonly threshold: number;
}

/** Compares a document with those that share its band; one of each set stays in the chain. */
function meet(index: number, start: number, band: Band): void {
  const { signatures, sets, slots, next, threshold } = band;
  const slot = signatures.hash(index, start, ROWS) & (slots.length - 1);
  let compared = 0;
  for (let other = slots[slot]; other !== 0 && compared < CANDIDATES; other = next[other - 1]) {
    if (!signatures.agree(index, other - 1, start, ROWS)) continue;
    if (sets.find(index) === sets.find(other - 1)) return;
    compared++;
    if (signatures.similarity(index, other - 1) < threshold - MARGIN) continue;
    sets.unite(index, other - 1);
    return;
  }
  next[index] = slots[slot];
  slots[slot] = index + 1;
}
