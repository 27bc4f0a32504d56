import type { Setting } from './load.js';

/** One sample of each thing that a part measures. */
export type Turn = Readonly<Record<string, number>>;
export type Samples = Readonly<Record<string, readonly number[]>>;

export interface Measurement {
  /** Measures everything once, one after the other. */
  turn(): Promise<Turn>;
  close(): Promise<void>;
}

export interface Part {
  readonly unit: string;
  /** Warmed up, so that the first turn counts. */
  start(setting: Setting): Promise<Measurement>;
  /** Sentences about what was found. */
  conclusions(samples: Samples): readonly string[];
}
