/** Everything that decides what a run computes. */
export interface Settings {
  readonly size: 'full' | 'quick' | 'nano';
  /** Sequences that the methods with statistics see. */
  readonly calibration: { readonly count: number; readonly length: number };
  readonly distillation: {
    readonly steps: number;
    readonly batch: number;
    readonly sequence: number;
    readonly learningRate: number;
  };
  /** Held-out bytes that are scored, and tokens of a window. */
  readonly evaluation: { readonly bytes: number; readonly context: number };
  readonly speed: { readonly promptTokens: number; readonly newTokens: number };
}

const full: Settings = {
  size: 'full',
  calibration: { count: 12, length: 256 },
  distillation: { steps: 80, batch: 4, sequence: 128, learningRate: 4e-4 },
  evaluation: { bytes: 60_000, context: 512 },
  speed: { promptTokens: 128, newTokens: 32 },
};

const quick: Settings = {
  size: 'quick',
  calibration: { count: 8, length: 128 },
  distillation: { steps: 20, batch: 8, sequence: 128, learningRate: 2e-3 },
  evaluation: { bytes: 12_000, context: 128 },
  speed: { promptTokens: 64, newTokens: 32 },
};

/** Without the native backend. */
const nano: Settings = {
  size: 'nano',
  calibration: { count: 2, length: 32 },
  distillation: { steps: 2, batch: 2, sequence: 32, learningRate: 2e-3 },
  evaluation: { bytes: 2_000, context: 32 },
  speed: { promptTokens: 8, newTokens: 4 },
};

export const settings = { full, quick, nano } as const;
