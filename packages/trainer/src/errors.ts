import { type BackendError, FrugalError, NonFiniteError } from '@frugal/tensor-core';

/** Training that cannot start, go on or resume as it was asked to. */
export class TrainerError extends FrugalError {}

/** All ranks of a job end because one of them was told to. A checkpoint was written, if the run has any. */
export class StoppedByOthersError extends TrainerError {
  constructor() {
    super({ where: 'train', what: 'another rank was told to stop', hint: 'Resume the run to go on.' });
  }
}

/** A step that failed before it changed a weight or a moment; `cause` says why. */
export class UnchangedStepError extends TrainerError {
  constructor(cause: unknown) {
    super({ where: 'train', what: 'a step failed before it changed anything', cause });
  }
}

/** A step in whose update the memory ended, but which was brought to its end; `cause` says why. */
export class FinishedStepError<S> extends TrainerError {
  constructor(
    readonly launched: S,
    cause: BackendError,
  ) {
    super({ where: 'train', what: 'there was too little memory for an update, which is finished', cause });
  }
}

export interface FailedStep {
  /** The step that failed; counts from 1. */
  readonly step: number;
  /** The newest checkpoint; null when none was written. */
  readonly checkpoint: string | null;
  /** The checkpoint holds all steps before the failed one. */
  readonly isCurrent: boolean;
  /** The failed step was brought to its end all the same, and the checkpoint holds it too. */
  readonly isFinished: boolean;
  /** What the backend says: sizes, and what to lower. */
  readonly cause: Error;
}

/** The device ran out of memory or was lost during a step. What could be saved is saved: resume from there. */
export class DeviceFailureError extends TrainerError implements Omit<FailedStep, 'cause'> {
  readonly step: number;
  readonly checkpoint: string | null;
  readonly isCurrent: boolean;
  readonly isFinished: boolean;

  constructor({ step, checkpoint, isCurrent, isFinished, cause }: FailedStep) {
    const saved = isFinished
      ? 'It was finished with what memory there was and is saved'
      : 'All steps before it are saved';
    const resume = isCurrent ? `${saved} in ${checkpoint}` : `The last checkpoint is ${checkpoint}`;
    super({
      where: 'train',
      what: `step ${step} failed on the device`,
      got: cause.message,
      hint: checkpoint ? `${resume}: resume from there.` : 'No checkpoint was written.',
      cause,
    });
    this.step = step;
    this.checkpoint = checkpoint;
    this.isCurrent = isCurrent;
    this.isFinished = isFinished;
  }
}

export interface NonFiniteStep {
  /** Counts from 1. */
  readonly step: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** What the model says was not finite first, such as `router logits of blocks.3.mlp`; null when it says nothing. */
  readonly culprit: string | null;
  /** The newest checkpoint, all of whose numbers are finite; null when none was written. */
  readonly checkpoint: string | null;
}

/**
 * A step whose loss or gradient was NaN or infinite. It changed nothing: the model is as it was before that step.
 */
export class NonFiniteLossError extends NonFiniteError implements NonFiniteStep {
  readonly step: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  readonly culprit: string | null;
  readonly checkpoint: string | null;

  constructor({ step, loss, gradientNorm, learningRate, culprit, checkpoint }: NonFiniteStep) {
    super({
      where: 'train',
      what: `step ${step} is not finite${culprit ? `, first the ${culprit}` : ''}`,
      got: `loss ${loss} and gradient norm ${gradientNorm} at learning rate ${learningRate}`,
      expected: 'finite numbers',
      hint: `Lower the learning rate or warm up longer. ${checkpoint ? `Last good checkpoint: ${checkpoint}.` : 'No checkpoint was written.'}`,
    });
    this.step = step;
    this.loss = loss;
    this.gradientNorm = gradientNorm;
    this.learningRate = learningRate;
    this.culprit = culprit;
    this.checkpoint = checkpoint;
  }
}
