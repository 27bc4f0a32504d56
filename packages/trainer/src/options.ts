import type { Backend, Collective, FloatDType, Random, Recompute, Tensor } from '@frugal/tensor-core';
import type { BatchSource, Module, TrainBatch } from '@frugal/tensor-core/nn';
import type { BestOptions } from './best.js';
import type { CheckpointOptions } from './checkpoints.js';
import type { DistributedOptions, DistributedStep } from './distributed/options.js';
import type { Optimizer } from './optimizers/optimizer.js';
import type { Schedule } from './schedules.js';
import type { WeightAverage } from './weight-average.js';

/**
 * Anything with parameters; models also say in which dtype they compute, whether they compute blocks again, and on which
 * backends their blocks lie.
 */
export type TrainableModel = Module & {
  computeDType?: FloatDType;
  recompute?: Recompute;
  placement?: readonly Backend[] | undefined;
};

/**
 * Dtype of the activations. `int8`: bf16, and the products of all dense layers but the head in whole numbers, forward
 * and for the gradients of their inputs.
 */
export type Precision = FloatDType | 'int8';

/** The loss of one micro-batch as a sum, so that batches of different sizes add up rightly. */
export interface BatchLoss {
  /** f32 []: Σ weight · loss over the items (tokens, rows) of the batch. */
  readonly sum: Tensor;
  /** Σ weight of those items; the loss of a step is Σ sum / Σ weight over its micro-batches. */
  readonly weight: number;
  /** Tokens that were read, for the statistics. Default: weight. */
  readonly tokens?: number;
  /** What must be finite beside loss and gradients, by what it is: f32 [], 1 or 0. A step in which one is 0 changes nothing. */
  readonly checks?: ReadonlyMap<string, Tensor>;
}

/** Runs synchronously, in a scope of its own. */
export type Loss<B> = (batch: B) => BatchLoss;

/** Runs after every `every` steps and at the end. */
export interface EvaluationOptions {
  readonly every: number;
  run(step: number): Promise<Readonly<Record<string, number>>>;
  /** The model has the averaged weights meanwhile; needs `average`. Default false. */
  readonly averaged?: boolean;
  /**
   * Keeps the checkpoint of the best evaluation, and may end the run early; needs `checkpoint`. At the end the model
   * has the weights of that checkpoint.
   */
  readonly best?: BestOptions;
}

export interface TrainOptions<B = TrainBatch> {
  readonly model: TrainableModel;
  /** The loop alone draws from it; a checkpoint holds its state. */
  readonly batches: BatchSource<B>;
  readonly loss: Loss<B>;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  /** Steps of the whole run, those before a resume included. */
  readonly steps: number;
  /** Micro-batches per step. Default 1. */
  readonly accumulate?: number;
  /** Gradients whose norm over all parameters is larger are scaled down to it. Default: no clipping. */
  readonly clipNorm?: number;
  /** Parameters and optimizer stay f32. `f16` scales the loss. Default: the model's own dtype. */
  readonly precision?: Precision;
  /**
   * Stores only the inputs of blocks and computes them again backward: less memory, a third more work. With `keepBytes` as many
   * bytes per micro-batch hold results of products, which then need not be computed again.
   */
  readonly recompute?: Recompute;
  /** Follows the weights; saved and resumed with the run. Stays the caller's. */
  readonly average?: WeightAverage;
  /** Random numbers that the loss or the model draw (dropout); a checkpoint holds the position. */
  readonly random?: Random;
  readonly checkpoint?: CheckpointOptions;
  /** Several processes train together; the first writes files and evaluates. */
  readonly distributed?: DistributedOptions<B>;
  readonly evaluate?: EvaluationOptions;
  /**
   * Called right after each update, before anything else reads the parameters: masks that must hold. `finite` is f32 [],
   * 0 where the update changed nothing.
   */
  readonly afterStep?: (step: number, finite: Tensor) => void;
  /** Called before it where several processes train together: sums over them what the loss has observed. */
  readonly reduce?: (collective: Collective) => Promise<void>;
  /** File of one JSON object per step; a resumed run cuts off what lies behind its checkpoint. */
  readonly log?: string;
  /** HTML file of charts of the log; written anew with each checkpoint and at the end. */
  readonly page?: string;
  /** Ends the run after the step at hand: writes a checkpoint, then throws the reason of the signal. */
  readonly signal?: AbortSignal;
}

/** What happened; in the order in which it happened, steps one step late. */
export type TrainEvent = StepEvent | EvaluationEvent | CheckpointEvent | ResumeEvent | BestEvent;

export interface StepEvent {
  readonly type: 'step';
  /** Counts from 1. */
  readonly step: number;
  readonly steps: number;
  /** Mean over the items of the step. */
  readonly loss: number;
  /** Mean over the last steps, about 30. */
  readonly smoothedLoss: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** All tokens so far. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Since the start, resumed runs added up. */
  readonly seconds: number;
  readonly secondsLeft: number;
  /** The loss scale of f16 was too large: nothing was changed. */
  readonly skipped: boolean;
  /** How the work was divided, where several processes train together. */
  readonly division?: DistributedStep;
}

export interface EvaluationEvent {
  readonly type: 'evaluation';
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface CheckpointEvent {
  readonly type: 'checkpoint';
  readonly step: number;
  readonly path: string;
}

/** The last event: the model now has the weights of `step`, which were the best. */
export interface BestEvent {
  readonly type: 'best';
  readonly step: number;
  readonly value: number;
  readonly path: string;
  /** Whether the run ended before its last step. */
  readonly stoppedEarly: boolean;
}

/** The run continues after `step`. */
export interface ResumeEvent {
  readonly type: 'resume';
  readonly step: number;
  readonly steps: number;
  readonly path: string;
}
