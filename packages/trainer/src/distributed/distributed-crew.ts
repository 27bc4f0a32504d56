import {
  type Backend,
  type Collective,
  noGrad,
  referenceBackend,
  scope,
  type Tensor,
  tensor,
  withBackend,
} from '@frugal/tensor-core';
import type { TrainBatch } from '@frugal/tensor-core/nn';
import { type CheckpointStore, type RestoredRun, type TrainerState, trainedTensors } from '../checkpoints.js';
import type { NamedParameter } from '../optimizers/optimizer.js';
import type { TrainOptions } from '../options.js';
import { homeOfTraining } from '../placement.js';
import type { LaunchedStep, StepPlan } from '../train-step.js';
import { type BatchUnits, sequenceUnits } from './batch-units.js';
import type { Crew, ExtraTensors, Wishes } from './crew.js';
import type { DistributedOptions, DistributedStep } from './options.js';
import { Shares } from './shares.js';
import { broadcastBytes, packTensors, unpackTensors } from './tensor-message.js';

/** Tensors of a checkpoint by file, and how to free those that were made for it. */
export interface Gathered {
  readonly tensors: ExtraTensors;
  readonly dispose: () => void;
}

/** What processes that train together have in common, however often they exchange something. */
export abstract class DistributedCrew<B> implements Crew {
  readonly overlaps = false;
  protected readonly collective: Collective;
  protected readonly units: BatchUnits<B>;
  protected readonly shares: Shares;
  protected agreed: Wishes = { stop: false, save: false };
  protected lastShares: readonly number[] = [];
  private received = 0;

  constructor(
    protected readonly options: TrainOptions<B>,
    { collective, units, speeds }: DistributedOptions<B>,
    protected readonly parameters: readonly NamedParameter[],
    /** Of this process alone. */
    protected readonly ownWishes: () => Wishes,
  ) {
    this.collective = collective;
    this.units = units ?? (sequenceUnits as BatchUnits<TrainBatch> as unknown as BatchUnits<B>);
    this.shares = new Shares(collective.size, speeds);
  }

  protected abstract makeStep(plan: StepPlan): Promise<LaunchedStep>;
  /** Tensors of a checkpoint beside the weights; only the main process's are used. */
  protected abstract gather(): Promise<Gathered>;
  /** Shares what a checkpoint holds beside the weights; the main process has read weights and optimizer. */
  protected abstract scatter(store: CheckpointStore): Promise<void>;

  get isMain(): boolean {
    return this.collective.rank === 0;
  }
  wishes(): Wishes {
    return this.agreed;
  }
  division(): DistributedStep {
    return { shares: this.lastShares, received: this.received };
  }

  async launch(plan: StepPlan): Promise<LaunchedStep> {
    const before = this.collective.received;
    const launched = await this.makeStep(plan);
    this.received = this.collective.received - before;
    return launched;
  }

  async fromMain<T>(make: () => Promise<T>): Promise<T> {
    const text = this.isMain ? JSON.stringify((await make()) ?? null) : '';
    const bytes = await broadcastBytes(this.collective, this.isMain ? new TextEncoder().encode(text) : null);
    return JSON.parse(new TextDecoder().decode(bytes)) as T;
  }

  async save(store: CheckpointStore, state: TrainerState): Promise<string> {
    const { tensors, dispose } = await this.gather();
    const path = await this.fromMain(() => store.save(state, tensors));
    dispose();
    store.adopt(path, state.step);
    this.agreed = { ...this.agreed, save: false };
    return path;
  }

  async restore(store: CheckpointStore | null): Promise<RestoredRun | null> {
    const restored = store && (await this.fromMain(() => store.restore()));
    await this.shareWeights();
    if (!store || !restored) return null;
    await this.scatter(store);
    store.adopt(restored.path, restored.state.step);
    return restored;
  }

  async useWeights(store: CheckpointStore, step: number): Promise<string> {
    const path = await this.fromMain(() => store.useWeights(step));
    await this.shareWeights();
    return path;
  }

  /** Gives all ranks the weights of the main process, and its average of them. */
  private async shareWeights(): Promise<void> {
    const { model, average } = this.options;
    await this.shareTensors([...trainedTensors(model).values()], 0);
    if (!average) return;
    const bytes = await broadcastBytes(
      this.collective,
      this.isMain ? await packTensors(average.state()) : null,
    );
    if (!this.isMain) average.load(unpackTensors(bytes, this.backend));
  }

  /** Overwrites tensors with those of `root`. */
  protected async shareTensors(tensors: readonly Tensor[], root: number): Promise<void> {
    if (this.collective.size === 1 || tensors.length === 0) return;
    const values = await this.collective.broadcast(tensors, root);
    noGrad(() => {
      if (this.collective.rank === root) return;
      for (const [i, target] of tensors.entries()) target.assign(values[i]);
    });
    for (const value of values) value.dispose();
  }

  /** Numbers of every rank, by rank: equally many from each. */
  protected async tell(numbers: readonly number[]): Promise<Float32Array[]> {
    const own = tensor(Float32Array.from(numbers), { backend: referenceBackend() });
    const [all] = await this.collective.allGather([own]);
    const values = await all.toFloat32();
    own.dispose();
    all.dispose();
    return Array.from({ length: this.collective.size }, (_, rank) =>
      values.subarray(rank * numbers.length, (rank + 1) * numbers.length),
    );
  }

  /** The micro-batches of a step: every rank draws all of them. */
  protected async draw(): Promise<B[]> {
    const { batches, accumulate = 1 } = this.options;
    const all: B[] = [];
    for (let i = 0; i < accumulate; i++) all.push(await batches.next());
    return all;
  }

  /** Runs `fn` in a scope, with new tensors where the model has its embedding and head, without recording. */
  protected onDevice<T>(fn: () => T): T {
    return noGrad(() => withBackend(this.backend, () => scope(fn)));
  }

  /** Where losses are made, and gradients exchanged: blocks may lie elsewhere. */
  protected get backend(): Backend {
    return homeOfTraining(this.options.model, this.parameters);
  }
}
