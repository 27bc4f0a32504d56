/** Everything that decides what is computed. */
export interface Settings {
  readonly size: 'full' | 'quick' | 'nano';
  readonly seed: number;
  readonly vocabularySize: number;
  readonly width: number;
  readonly layers: number;
  /** Tokens per sequence, and sequences per step. */
  readonly sequence: number;
  readonly batch: number;
  /** Of 三国演义, and of the dictionary after it. */
  readonly generalTokens: number;
  readonly domainTokens: number;
  /** Entries of the dictionary that are read; all when left out. */
  readonly entries?: number;
  /** Questions that the loop is measured by, and others that only the final results come from. */
  readonly practice: number;
  readonly exam: number;
  /** Most rounds of the loop, idioms that are explained in each, and explanations of each idiom. */
  readonly rounds: number;
  readonly asked: number;
  readonly answers: number;
  /** Passes over all examples in each round. */
  readonly epochs: number;
  /** Held-out bytes that are scored, of either kind of text. */
  readonly evaluationBytes: number;
}

const full: Settings = {
  size: 'full',
  seed: 1,
  vocabularySize: 4096,
  width: 192,
  layers: 3,
  sequence: 128,
  batch: 16,
  generalTokens: 200_000,
  domainTokens: 2_000_000,
  practice: 400,
  exam: 600,
  rounds: 4,
  asked: 400,
  answers: 3,
  epochs: 2,
  evaluationBytes: 30_000,
};

const quick: Settings = {
  ...full,
  size: 'quick',
  vocabularySize: 1024,
  width: 64,
  layers: 2,
  sequence: 64,
  generalTokens: 20_000,
  domainTokens: 60_000,
  entries: 4000,
  practice: 60,
  exam: 80,
  rounds: 2,
  asked: 60,
  evaluationBytes: 8_000,
};

/** Without the native backend. */
const nano: Settings = {
  ...quick,
  size: 'nano',
  vocabularySize: 300,
  width: 32,
  layers: 1,
  generalTokens: 2_000,
  domainTokens: 4_000,
  entries: 400,
  practice: 10,
  exam: 10,
  rounds: 1,
  asked: 6,
  epochs: 1,
  evaluationBytes: 1_000,
};

export const settings = { full, quick, nano } as const;

/** Share of the texts held out, chosen by hash. */
export const HELD_OUT = 1 / 8;
/** Peak learning rates of the matrices (Muon). */
export const GENERAL_RATE = 1e-2;
export const DOMAIN_RATE = 6e-3;
export const TUNING_RATE = 1e-3;
