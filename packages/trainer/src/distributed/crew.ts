import type { Tensor } from '@frugal/tensor-core';
import type { CheckpointStore, RestoredRun, TrainerState } from '../checkpoints.js';
import type { NamedParameter } from '../optimizers/optimizer.js';
import type { TrainOptions } from '../options.js';
import { type LaunchedStep, launchStep, type StepPlan } from '../train-step.js';
import type { DistributedStep } from './options.js';

/** What a process wants to happen after the step at hand. */
export interface Wishes {
  /** The run was told to end. */
  readonly stop: boolean;
  /** A checkpoint is due. */
  readonly save: boolean;
}

/** Who makes the steps of a run: one process, or several that agree on what they do. */
export interface Crew {
  /** Writes files, and evaluates. */
  readonly isMain: boolean;
  /** A step may run while the one before it is read. */
  readonly overlaps: boolean;
  launch(plan: StepPlan): Promise<LaunchedStep>;
  /** What all know to be wished after the last step. */
  wishes(): Wishes;
  /** How the last step was divided. */
  division(): DistributedStep | null;
  /** What the main process makes, as JSON, on all. */
  fromMain<T>(make: () => Promise<T>): Promise<T>;
  save(store: CheckpointStore, state: TrainerState): Promise<string>;
  restore(store: CheckpointStore | null): Promise<RestoredRun | null>;
  useWeights(store: CheckpointStore, step: number): Promise<string>;
}

/** Named tensors that a checkpoint holds beside weights, by file. */
export type ExtraTensors = ReadonlyMap<string, ReadonlyMap<string, Tensor>>;

/** One process alone. */
export class SingleCrew<B> implements Crew {
  readonly isMain = true;
  readonly overlaps = true;

  constructor(
    private readonly options: TrainOptions<B>,
    private readonly parameters: readonly NamedParameter[],
    readonly wishes: () => Wishes,
  ) {}

  launch(plan: StepPlan): Promise<LaunchedStep> {
    return launchStep(this.options, this.parameters, plan);
  }
  division(): null {
    return null;
  }
  fromMain<T>(make: () => Promise<T>): Promise<T> {
    return make();
  }
  save(store: CheckpointStore, state: TrainerState): Promise<string> {
    return store.save(state);
  }
  async restore(store: CheckpointStore | null): Promise<RestoredRun | null> {
    return (await store?.restore()) ?? null;
  }
  useWeights(store: CheckpointStore, step: number): Promise<string> {
    return store.useWeights(step);
  }
}
