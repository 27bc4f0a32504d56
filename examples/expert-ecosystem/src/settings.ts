/** Everything that decides what a run computes: two runs with equal settings give equal results. */
export interface Settings {
  readonly size: 'full' | 'quick';
  readonly seed: number;
  readonly vocabularySize: number;
  readonly width: number;
  readonly layers: number;
  /** Tokens per sequence and sequences per step. */
  readonly sequence: number;
  readonly batch: number;
  /** Of the base, over all first domains together, and of each specialist. */
  readonly baseTokens: number;
  readonly specialistTokens: number;
  /** Tokens of each domain that gates are made from: training text, never what is scored. */
  readonly gateTokens: number;
  /** Held-out bytes that are scored, per domain. */
  readonly evaluationBytes: number;
}

const full: Settings = {
  size: 'full',
  seed: 1,
  vocabularySize: 4096,
  width: 128,
  layers: 4,
  sequence: 128,
  batch: 16,
  baseTokens: 600_000,
  specialistTokens: 300_000,
  gateTokens: 8192,
  evaluationBytes: 60_000,
};

const quick: Settings = {
  ...full,
  size: 'quick',
  vocabularySize: 2048,
  width: 64,
  layers: 2,
  baseTokens: 100_000,
  specialistTokens: 60_000,
  evaluationBytes: 20_000,
};

export const settings = { full, quick } as const;

/** Share of the documents held out, chosen by hash. */
export const HELD_OUT = 1 / 12;
/** Peak learning rates of matrices (Muon); embeddings and norms get 1.5 times as much (AdamW). */
export const BASE_RATE = 1e-2;
export const SPECIALIST_RATE = 4e-3;
