import { settings as base, type Settings as Prepared } from '@frugal/example-pretrain-distill-deploy/steps';
import { smallLlama } from '@frugal/example-support';

/** Everything that decides what the runs compute. */
export interface Settings extends Pick<Prepared, 'heldOut' | 'vocabularySize' | 'evaluationBytes'> {
  readonly size: 'full' | 'quick' | 'nano';
  readonly seed: number;
  /** config.json of the model, without the size of its vocabulary. */
  readonly model: Readonly<Record<string, unknown>>;
  readonly steps: number;
  /** Tokens per sequence, and sequences per step, which the ranks divide. */
  readonly sequence: number;
  readonly batch: number;
  readonly learningRate: number;
  /** Steps between two exchanges of local updates. */
  readonly localSteps: number;
}

const full: Settings = {
  size: 'full',
  seed: 1,
  heldOut: base.full.heldOut,
  vocabularySize: 2048,
  evaluationBytes: 60_000,
  model: smallLlama(96, 3, 128),
  steps: 40,
  sequence: 128,
  batch: 48,
  learningRate: 5e-3,
  localSteps: 5,
};

const quick: Settings = {
  ...full,
  size: 'quick',
  vocabularySize: 1024,
  evaluationBytes: 10_000,
  model: smallLlama(64, 2, 64),
  steps: 24,
  sequence: 64,
  batch: 12,
  localSteps: 8,
};

/** Without the native backend. */
const nano: Settings = {
  ...quick,
  size: 'nano',
  vocabularySize: 300,
  evaluationBytes: 1_000,
  model: smallLlama(32, 1, 16),
  steps: 4,
  sequence: 16,
  batch: 6,
  localSteps: 2,
};

export const settings = { full, quick, nano } as const;
