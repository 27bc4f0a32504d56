/** Shape of a Llama for this example; heads of 32 to 64 channels. */
export interface Shape {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
}

export interface Training {
  readonly tokens: number;
  /** Peak learning rate of the matrices (Muon). */
  readonly learningRate: number;
  /** Peak learning rate of embedding and norms (AdamW). */
  readonly embeddingLearningRate: number;
}

/** Everything that decides what a run computes: two runs with equal settings give equal results. */
export interface Settings {
  readonly size: 'full' | 'quick' | 'nano';
  readonly seed: number;
  /** Share of the documents held out, chosen by hash. */
  readonly heldOut: number;
  readonly vocabularySize: number;
  readonly context: number;
  /** Tokens per sequence and sequences per step. */
  readonly sequence: number;
  readonly batch: number;
  readonly precision: 'f32' | 'bf16';
  /** Held-out bytes that are scored, per language. */
  readonly evaluationBytes: number;
  readonly teacher: Shape & Training;
  readonly student: Shape & Training;
}

/** Sizes and rates were found by trial; see the README. */
const full: Settings = {
  size: 'full',
  seed: 1,
  heldOut: 1 / 12,
  vocabularySize: 4096,
  context: 512,
  sequence: 128,
  batch: 16,
  precision: 'bf16',
  evaluationBytes: 150_000,
  teacher: {
    width: 192,
    layers: 4,
    heads: 3,
    feedForward: 480,
    tokens: 1_300_000,
    learningRate: 8e-3,
    embeddingLearningRate: 1.2e-2,
  },
  student: {
    width: 96,
    layers: 3,
    heads: 3,
    feedForward: 256,
    tokens: 800_000,
    learningRate: 2e-2,
    embeddingLearningRate: 2e-2,
  },
};

const quick: Settings = {
  ...full,
  size: 'quick',
  vocabularySize: 2048,
  evaluationBytes: 30_000,
  teacher: { ...full.teacher, width: 128, layers: 3, heads: 2, feedForward: 320, tokens: 200_000 },
  student: { ...full.student, width: 64, layers: 2, heads: 2, feedForward: 160, tokens: 100_000 },
};

/** For machines without the native backend, where a multiplication costs hundreds of times as much. */
const nano: Settings = {
  ...full,
  size: 'nano',
  vocabularySize: 512,
  context: 128,
  sequence: 32,
  batch: 4,
  evaluationBytes: 2_000,
  teacher: { ...full.teacher, width: 32, layers: 2, heads: 2, feedForward: 64, tokens: 8_000 },
  student: { ...full.student, width: 16, layers: 1, heads: 1, feedForward: 32, tokens: 4_000 },
};

export const settings = { full, quick, nano } as const;
