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
 * Which experts make room: those that were used least in the last few dozen steps, or the ones that were used longest ago (Eliseev &
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
 * Steps after which an earlier use counts half. In a trained mixture routing follows the text: 24 keeps 3 to 7 % more of what is needed
 * than the longest unused going does in one language, and as much where two take turns; 256 gains another 1 % in one, and loses 5 in turns.
 */
const HALF_LIFE = 24;
/** Below this share of right guesses reading ahead costs more than it saves. */
const WORTH_GUESSING = 0.5;
/** Weight of the newest guess in the measured share. */
const GUESS_RATE = 0.02;

interface Entry {
  readonly layer: number;
  readonly stored: StoredExpert;
  score: number;
  isResident: boolean;
}

interface Layer {
  readonly entries: readonly Entry[];
  /** Guessed for its next step; true: was not in memory then. */
  guesses: Map<Entry, boolean>;
  /** Share of guesses at experts that were not in memory which came true. */
  precision: number;
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
  private unit = 1;
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
    const entries = experts.map((stored) => ({ layer, stored, score: 0, isResident: false }));
    this.layers.push({ entries, guesses: new Map(), precision: 1 });
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

  /** The next step of a layer will probably want these experts: they are fetched while that pays and fits. */
  expect(layer: number, experts: Iterable<number>): void {
    const { entries, guesses, precision } = this.layers[layer];
    for (const e of experts) guesses.set(entries[e], !entries[e].isResident);
    if (precision < WORTH_GUESSING) return;
    for (const [entry, isMissing] of guesses) {
      if (!isMissing) continue;
      if (!this.admit(entry, false)) break;
      this.ahead++;
    }
  }

  private settleGuesses(layer: Layer, needed: ReadonlySet<Entry>): void {
    for (const [entry, wasMissing] of layer.guesses) {
      if (!wasMissing) continue;
      const isRight = needed.has(entry);
      layer.precision += GUESS_RATE * (Number(isRight) - layer.precision);
      if (!isRight && entry.isResident) this.inVain++;
    }
    layer.guesses.clear();
  }

  private count(entry: Entry): void {
    if (this.eviction === 'frequency') entry.score += this.unit;
    else entry.score = ++this.unit;
  }

  /** Newer uses count more, instead of older ones less: no entry needs to be touched. */
  private age(): void {
    if (this.eviction !== 'frequency') return;
    this.unit *= 2 ** (1 / HALF_LIFE);
    if (this.unit < 1e100) return;
    for (const { entries } of this.layers) for (const entry of entries) entry.score /= this.unit;
    this.unit = 1;
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
    let least: Entry | null = null;
    for (const entry of this.resident) if ((!least || entry.score < least.score) && may(entry)) least = entry;
    return least;
  }

  private release(entry: Entry): void {
    this.resident.delete(entry);
    entry.isResident = false;
    this.used -= entry.stored.bytes;
    entry.stored.release();
  }
}
