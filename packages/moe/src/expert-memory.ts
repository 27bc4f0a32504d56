import { ArgumentError } from '@frugal/tensor-core';

/** An expert that lies in a file. */
export interface StoredExpert {
  readonly bytes: number;
  /** Begins to read it, without waiting. Whoever computes with it waits for what is not there yet. */
  fetch(): void;
  /** Gives its memory back. */
  release(): void;
}

/**
 * Which experts make room: those that were used least, mostly in the last dozens of steps, or the ones that were used longest ago (Eliseev &
 * Mazur 2023, arXiv:2312.17238). Routing is skewed as well as local: how often says more than how recently alone.
 */
export type Eviction = 'frequency' | 'least-recent';

export interface ExpertMemoryOptions {
  /** Bytes that experts may take together. */
  readonly budget: number;
  /** Default `frequency`. */
  readonly eviction?: Eviction;
  /** Whether experts that the next layer will probably want are read while this one computes. Default true. */
  readonly predict?: boolean;
}

/** Counted since the start. */
export interface ExpertMemoryUse {
  /** Experts that a step needed. */
  readonly needed: number;
  /** Of these: were in memory already before anything was predicted, or had been fetched ahead. */
  readonly present: number;
  readonly fetchedAhead: number;
  /** Fetched ahead and not needed by the step that they were fetched for. */
  readonly fetchedInVain: number;
  readonly residentBytes: number;
  readonly budget: number;
}

/**
 * Steps after which an earlier use counts half: in the count of late, which follows the text, and in the one that tells apart what is not used
 * of late. In a trained mixture both together keep 4 to 6 % more of what is needed than the longest unused going does in one language, and 1 %
 * more where two take turns, where a single count of 24 steps kept 1 % less.
 */
const HALF_LIVES = [12, 1024] as const;
/** What a use in the longer count is worth beside one in the shorter. */
const LASTING_SHARE = 0.01;
/**
 * Below this share of right guesses reading ahead takes more from the disk than it saves. It is measured for each rank: what a router likes
 * best comes true more often than the last of its choice.
 */
const WORTH_GUESSING = 0.6;
/** Weight of the newest guess in the measured share. */
const GUESS_RATE = 0.02;

interface Entry {
  readonly layer: number;
  readonly stored: StoredExpert;
  /** Uses, weighed in the unit of each count. */
  recent: number;
  lasting: number;
  isResident: boolean;
}

interface Layer {
  readonly entries: readonly Entry[];
  /** Guessed for its next step: the rank of the guess where the expert was not in memory then, null where it was. */
  guesses: Map<Entry, number | null>;
  /** By rank: share of guesses at experts that were not in memory which came true. */
  precision: number[];
}

/** Keeps the experts of all layers of a model within a budget: what to read, when, and what makes room for it. */
export class ExpertMemory {
  readonly budget: number;
  readonly predicts: boolean;
  private readonly eviction: Eviction;
  private readonly layers: Layer[] = [];
  private readonly resident = new Set<Entry>();
  /** Needed by the step that runs. */
  private readonly wanted = new Set<Entry>();
  private used = 0;
  /** What a use now adds to each count: more than earlier ones did, so that no entry needs to be touched for these to fade. */
  private units = [1, 1];
  private needed = 0;
  private present = 0;
  private ahead = 0;
  private inVain = 0;

  constructor({ budget, eviction = 'frequency', predict = true }: ExpertMemoryOptions) {
    this.budget = budget;
    this.eviction = eviction;
    this.predicts = predict;
  }

  get use(): ExpertMemoryUse {
    return {
      needed: this.needed,
      present: this.present,
      fetchedAhead: this.ahead,
      fetchedInVain: this.inVain,
      residentBytes: this.used,
      budget: this.budget,
    };
  }

  /** Layers in the order in which they run; none of their experts is in memory. @throws ArgumentError when one expert alone does not fit */
  addLayer(experts: readonly StoredExpert[]): number {
    const largest = Math.max(...experts.map(({ bytes }) => bytes));
    if (!(largest <= this.budget))
      throw new ArgumentError({
        where: 'expert memory',
        what: 'a single expert does not fit into the memory for experts',
        got: `${this.budget} bytes`,
        expected: `at least ${largest}`,
      });
    const layer = this.layers.length;
    const entries = experts.map((stored) => ({ layer, stored, recent: 0, lasting: 0, isResident: false }));
    this.layers.push({ entries, guesses: new Map(), precision: [] });
    return layer;
  }

  /** A step needs these experts of a layer, in this order; as many as fit together are fetched at once. */
  begin(layer: number, experts: readonly number[]): void {
    const { entries } = this.layers[layer];
    this.settleGuesses(this.layers[layer], new Set(experts.map((e) => entries[e])));
    if (layer === 0) this.age();
    this.wanted.clear();
    for (const e of experts) {
      const entry = entries[e];
      this.needed++;
      if (entry.isResident) this.present++;
      this.count(entry);
      this.wanted.add(entry);
    }
    for (const entry of this.wanted) if (!this.admit(entry, false)) break;
  }

  /** An expert that `begin` named is computed with now, and not needed by this step any more after it. */
  take(layer: number, expert: number): void {
    const entry = this.layers[layer].entries[expert];
    this.wanted.delete(entry);
    this.admit(entry, true);
  }

  /**
   * The next step of a layer will probably want these experts, the likeliest first, `rows` of them of each rank: they are fetched while
   * that pays and fits.
   */
  expect(layer: number, experts: readonly number[], rows = 1): void {
    const { entries, guesses, precision } = this.layers[layer];
    for (const [i, e] of experts.entries()) {
      const entry = entries[e];
      if (!guesses.has(entry)) guesses.set(entry, entry.isResident ? null : Math.floor(i / rows));
    }
    for (const [entry, rank] of guesses) {
      if (rank === null || (precision[rank] ?? 1) < WORTH_GUESSING) continue;
      if (!this.admit(entry, false)) break;
      this.ahead++;
    }
  }

  private settleGuesses(layer: Layer, needed: ReadonlySet<Entry>): void {
    const { precision } = layer;
    for (const [entry, rank] of layer.guesses) {
      if (rank === null) continue;
      const isRight = needed.has(entry);
      const before = precision[rank] ?? 1;
      precision[rank] = before + GUESS_RATE * (Number(isRight) - before);
      if (!isRight && entry.isResident) this.inVain++;
    }
    layer.guesses.clear();
  }

  private count(entry: Entry): void {
    if (this.eviction === 'least-recent') {
      entry.recent = ++this.units[0];
      return;
    }
    entry.recent += this.units[0];
    entry.lasting += this.units[1];
  }

  /** What its uses are worth now. */
  private worth({ recent, lasting }: Entry): number {
    if (this.eviction === 'least-recent') return recent;
    return recent / this.units[0] + (LASTING_SHARE * lasting) / this.units[1];
  }

  private age(): void {
    if (this.eviction === 'least-recent') return;
    this.units = this.units.map((unit, i) => unit * 2 ** (1 / HALF_LIVES[i]));
    if (this.units[0] < 1e100) return;
    for (const { entries } of this.layers)
      for (const entry of entries) {
        entry.recent /= this.units[0];
        entry.lasting /= this.units[1];
      }
    this.units = [1, 1];
  }

  /** False when only experts that are needed, or expected, would have to make room; `must`: those make room as well. */
  private admit(entry: Entry, must: boolean): boolean {
    if (entry.isResident) return true;
    const { bytes } = entry.stored;
    while (this.used + bytes > this.budget) {
      const victim = this.leastUseful((other) => !this.isHeld(other)) ?? (must ? this.leastUseful() : null);
      if (!victim) return false;
      this.release(victim);
    }
    entry.isResident = true;
    this.resident.add(entry);
    this.used += bytes;
    entry.stored.fetch();
    return true;
  }

  private isHeld(entry: Entry): boolean {
    return this.wanted.has(entry) || this.layers[entry.layer].guesses.has(entry);
  }

  private leastUseful(may: (entry: Entry) => boolean = () => true): Entry | null {
    let [least, smallest]: [Entry | null, number] = [null, Number.POSITIVE_INFINITY];
    for (const entry of this.resident) {
      const worth = this.worth(entry);
      if (worth < smallest && may(entry)) [least, smallest] = [entry, worth];
    }
    return least;
  }

  private release(entry: Entry): void {
    this.resident.delete(entry);
    entry.isResident = false;
    this.used -= entry.stored.bytes;
    entry.stored.release();
  }
}
