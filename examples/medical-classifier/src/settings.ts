import type { Shape } from './encoder.js';

export interface Settings {
  readonly vocabularySize: number;
  readonly regressionEpochs: number;
  readonly teacher: Shape;
  readonly student: Shape;
}

const full: Settings = {
  vocabularySize: 4096,
  regressionEpochs: 4,
  teacher: { width: 128, layers: 1, heads: 4, epochs: 5, learningRate: 0.01 },
  student: { width: 32, layers: 1, heads: 1, epochs: 5, learningRate: 0.02 },
};

const quick: Settings = {
  vocabularySize: 2048,
  regressionEpochs: 1,
  teacher: { width: 64, layers: 1, heads: 2, epochs: 1, learningRate: 0.02 },
  student: { width: 32, layers: 1, heads: 1, epochs: 1, learningRate: 0.02 },
};

/** `quick` shows that everything works, and no more. */
export const settings = { full, quick } as const;
