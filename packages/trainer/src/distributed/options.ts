import type { Collective } from '@frugal/tensor-core';
import type { BatchUnits } from './batch-units.js';
import type { DeltaBits } from './quantized-delta.js';

/** Training by several processes, each of which calls `train` with the same options and its own collective. */
export interface DistributedOptions<B> {
  /** `mpiCollective()`, `folderCollective(…)` or, for one process, `localCollectives()[0]`. */
  readonly collective: Collective;
  /** What one process computes by itself. Default: one sequence. */
  readonly units?: BatchUnits<B>;
  /** How fast each rank is, compared with the others. Default: as measured, so that shares follow it. */
  readonly speeds?: readonly number[];
  /**
   * Weights are exchanged only after so many steps (DiLoCo). Left out: gradients in every step, with the same bits for
   * any number of ranks.
   */
  readonly local?: LocalUpdateOptions;
}

/** DiLoCo (arXiv:2311.08105): every rank trains alone for `steps` steps, then all take one step along their mean change. */
export interface LocalUpdateOptions {
  readonly steps: number;
  /**
   * `growing`: beside the exchange after every `steps` steps more of them early in the run, where weights change fast (as the learning rate
   * asks for, arXiv:2310.14423): some three times as many in all. Default `growing`, which ends better from random weights (docs/log.md).
   */
  readonly rounds?: 'growing' | 'even';
  /**
   * Of each number of what changed, beside a scale for every 256 of them. Default 4, which costs nothing that can be measured (arXiv:2501.18512
   * has the same of other 4 bits), so that growing rounds move less than a hundredth of what gradients do.
   */
  readonly bits?: DeltaBits;
  /** Default 1: with `momentum` 0 the step leads to the mean of the ranks. */
  readonly learningRate?: number;
  /** Nesterov momentum. Default 0: with 0.9 and a rate of 0.7, as in the paper, runs of few exchanges end worse (docs/log.md). */
  readonly momentum?: number;
}

/** How a step was divided. */
export interface DistributedStep {
  /** Units of each rank. */
  readonly shares: readonly number[];
  /** Bytes that this rank has got from others in this step. */
  readonly received: number;
}
