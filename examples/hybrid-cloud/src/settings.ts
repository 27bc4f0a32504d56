import { settings as base, type Settings as Prepared } from '@frugal/example-pretrain-distill-deploy/steps';
import { smallLlama } from '@frugal/example-support';

/** Everything that decides what is computed. */
export interface Settings extends Pick<Prepared, 'heldOut' | 'vocabularySize' | 'evaluationBytes'> {
  readonly size: 'full' | 'quick' | 'nano';
  readonly seed: number;
  /** config.json of the model, without the size of its vocabulary. */
  readonly model: Readonly<Record<string, unknown>>;
  /** Tokens per sequence, and sequences per step, which the ranks divide. */
  readonly sequence: number;
  readonly batch: number;
  readonly learningRate: number;
  /** Of the whole run, and those of the first place alone. */
  readonly steps: number;
  readonly firstSteps: number;
  /** Steps between two exchanges. */
  readonly localSteps: number;
  /** How much faster the first place is: what it gets of each step. */
  readonly speeds: readonly [first: number, second: number];
  /** Tokens that the deployed model answers. */
  readonly answerTokens: number;
}

const full: Settings = {
  size: 'full',
  seed: 1,
  heldOut: base.full.heldOut,
  vocabularySize: 2048,
  evaluationBytes: 60_000,
  model: smallLlama(96, 3, 128),
  sequence: 64,
  batch: 16,
  learningRate: 1e-2,
  steps: 360,
  firstSteps: 120,
  localSteps: 20,
  speeds: [7, 1],
  answerTokens: 40,
};

const quick: Settings = {
  ...full,
  size: 'quick',
  vocabularySize: 1024,
  evaluationBytes: 10_000,
  model: smallLlama(64, 2, 64),
  sequence: 32,
  batch: 8,
  steps: 36,
  firstSteps: 12,
  localSteps: 6,
  answerTokens: 16,
};

/** Without the native backend. */
const nano: Settings = {
  ...quick,
  size: 'nano',
  vocabularySize: 300,
  evaluationBytes: 1_000,
  model: smallLlama(32, 1, 32),
  sequence: 16,
  steps: 6,
  firstSteps: 2,
  localSteps: 2,
};

export const settings = { full, quick, nano } as const;
