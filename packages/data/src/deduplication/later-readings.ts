import type { DisjointSets } from './disjoint-sets.js';
import { jaccard, setOf, TextShingles } from './shingles.js';

/** Hashes kept at a time: 64 MB. Groups for which there is no room wait for the next reading. */
const ROOM = 2 ** 24;
/** A group that keeps more than so many is boilerplate: a text is compared with the last of them and no more. */
const RIVALS = 256;

interface Kept {
  /** Number of the text. */
  readonly text: number;
  readonly shingles: Uint32Array;
}

/**
 * Decides by whole texts which of a group are copies: those whose runs of words have the Jaccard similarity asked for with an
 * earlier text of the group that is kept. The runs of the kept ones stay in memory until the last of the group has come.
 */
export class LaterReadings {
  /** Number of a text → of that which is kept for it. */
  readonly originals: Uint32Array;
  private readonly shingles: TextShingles;
  /** Texts of a group still to come, by its first; zero where nothing is to decide. */
  private readonly left: Uint32Array;
  /** What the groups of this reading keep so far, by their first text. */
  private readonly kept = new Map<number, Kept[]>();
  private undecided = 0;
  private used = 0;

  constructor(
    private readonly groups: DisjointSets,
    private readonly threshold: number,
    shingle: number,
    private readonly room = ROOM,
  ) {
    this.shingles = new TextShingles(shingle);
    this.left = groups.sizes();
    this.originals = Uint32Array.from(this.left, (_, text) => text);
    for (const text of this.originals) {
      if (this.left[text] === 1) this.left[text] = 0;
      if (this.left[text] > 0) this.undecided++;
    }
  }

  /** Whether all texts must be read once more. */
  get isNeeded(): boolean {
    return this.undecided > 0;
  }

  /** Takes the next of the different texts. */
  add(text: string, number: number): void {
    const first = this.groups.find(number);
    if (this.left[first] === 0) return;
    if (number === first && this.used < this.room) this.kept.set(first, []);
    const kept = this.kept.get(first);
    if (!kept) return;
    this.decide({ text: number, shingles: setOf(this.shingles.of(text, number)) }, kept);
    this.left[first]--;
    if (this.left[first] > 0) return;
    for (const { shingles } of kept) this.used -= shingles.length;
    this.kept.delete(first);
    this.undecided--;
  }

  private decide(candidate: Kept, kept: Kept[]): void {
    const original = kept.find(({ shingles }) => jaccard(shingles, candidate.shingles) >= this.threshold);
    if (original) {
      this.originals[candidate.text] = original.text;
      return;
    }
    kept.push(candidate);
    this.used += candidate.shingles.length;
    if (kept.length > RIVALS) this.used -= (kept.shift() as Kept).shingles.length;
  }
}
