import type { Tensor } from '@frugal/tensor-core';
import { type CheckpointStore, OPTIMIZER_FILE } from '../checkpoints.js';
import { TrainerError } from '../errors.js';
import type { NamedParameter } from '../optimizers/optimizer.js';
import type { TrainOptions } from '../options.js';
import { type LaunchedStep, launchStep, type StepPlan } from '../train-step.js';
import type { ExtraTensors, Wishes } from './crew.js';
import { DistributedCrew, type Gathered } from './distributed-crew.js';
import type { DistributedOptions, LocalUpdateOptions } from './options.js';
import { OuterOptimizer } from './outer-optimizer.js';
import { endsRound } from './rounds.js';
import { rangeOf } from './shares.js';
import { broadcastBytes, gatherBytes, packTensors, unpackTensors } from './tensor-message.js';

const OUTER_FILE = 'trainer/outer.safetensors';
/** Of ranks beyond the first. */
const optimizerFile = (rank: number) => `trainer/optimizer-${rank}.safetensors`;

/**
 * DiLoCo (arXiv:2311.08105): each rank trains on its share of every step by itself, with an optimizer of its own; after
 * `local.steps` steps all take one outer step along their mean change. Only then something is exchanged, so that what
 * the ranks agree on (checkpoints, the end of the run) waits for it too.
 */
export class LocalUpdateCrew<B> extends DistributedCrew<B> {
  private readonly outer: OuterOptimizer;
  private isReady = false;
  /** Since the last exchange. */
  private seconds = 0;
  /** Units of each rank since then. */
  private worked: readonly number[] = [];

  constructor(
    options: TrainOptions<B>,
    distributed: DistributedOptions<B>,
    private readonly local: LocalUpdateOptions,
    parameters: readonly NamedParameter[],
    ownWishes: () => Wishes,
  ) {
    super(options, distributed, parameters, ownWishes);
    this.outer = new OuterOptimizer(parameters, local);
  }

  protected async makeStep(plan: StepPlan): Promise<LaunchedStep> {
    if (!this.isReady) await this.outer.start();
    this.isReady = true;
    const batches = await this.draw();
    const counts = batches.map((batch) => this.units.count(batch));
    const total = counts.reduce((sum, count) => sum + count, 0);
    this.lastShares = this.shares.divide(total);
    this.worked = this.lastShares.map((count, rank) => count + (this.worked[rank] ?? 0));
    const range = rangeOf(this.lastShares, this.collective.rank);
    let before = 0;
    const own = batches.flatMap((batch, i) => {
      const from = Math.max(range.from - before, 0);
      const to = Math.min(range.to - before, counts[i]);
      before += counts[i];
      return from < to ? [this.units.slice(batch, from, to)] : [];
    });
    const started = performance.now();
    const launched = await launchStep(
      { ...this.options, batches: sourceOf(own), accumulate: own.length },
      this.parameters,
      plan,
    );
    await launched.values;
    this.seconds += (performance.now() - started) / 1000;
    this.agreed = { stop: false, save: false };
    if (endsRound(plan.step, this.local, this.options.steps)) await this.meet();
    // Those of the other ranks are not known, but their share is.
    return { ...launched, tokens: Math.round((launched.tokens * total) / (range.to - range.from)) };
  }

  private async meet(): Promise<void> {
    const { stop, save } = this.ownWishes();
    const all = await this.tell([this.seconds, Number(stop), Number(save)]);
    const { worked } = this;
    const units = worked.reduce((sum, count) => sum + count, 0);
    await this.outer.step(
      this.collective,
      worked.map((count) => count / units),
    );
    await this.averageBuffers();
    this.agreed = { stop: all.some((facts) => facts[1] > 0), save: all.some((facts) => facts[2] > 0) };
    this.shares.observe(
      worked,
      all.map((facts) => facts[0]),
    );
    this.seconds = 0;
    this.worked = [];
  }

  /** Buffers, such as balancing biases, are means over the ranks. */
  private async averageBuffers(): Promise<void> {
    const buffers = [...this.options.model.namedBuffers()].flatMap(([, { value }]) =>
      value.dtype === 'f32' ? [value] : [],
    );
    if (buffers.length === 0 || this.collective.size === 1) return;
    const sums = await this.collective.allReduce(buffers);
    this.onDevice(() => {
      for (const [i, buffer] of buffers.entries()) buffer.assign(sums[i].mul(1 / this.collective.size));
    });
    for (const sum of sums) sum.dispose();
  }

  /** Each rank has an optimizer of its own. */
  protected async gather(): Promise<Gathered> {
    const { optimizer } = this.options;
    const states = await gatherBytes(this.collective, await packTensors(optimizer.state()));
    const others = states
      .slice(1)
      .map((bytes, i) => [optimizerFile(i + 1), unpackTensors(bytes, this.backend)] as const);
    const outer = this.outer.state();
    const tensors: ExtraTensors = new Map([
      [OPTIMIZER_FILE, optimizer.state()],
      [OUTER_FILE, outer],
      ...others,
    ]);
    const gathered = [outer, ...others.map(([, state]) => state)].flatMap((state) => [...state.values()]);
    return { tensors, dispose: () => disposeAll(gathered) };
  }

  /** Ranks that the checkpoint does not know start with the optimizer of one that it knows. */
  protected async scatter(store: CheckpointStore): Promise<void> {
    const { optimizer } = this.options;
    const outer = await this.sharedFile(store, OUTER_FILE);
    if (!outer) {
      throw new TrainerError({
        where: 'distributed',
        what: 'the checkpoint is not of a run with local updates',
        hint: 'Resume with the settings that it was started with.',
      });
    }
    await this.outer.load(outer);
    disposeAll(outer.values());
    this.isReady = true;
    const { rank } = this.collective;
    const known: Map<string, Tensor>[] = [];
    for (let saved = 0; ; saved++) {
      const state = await this.sharedFile(store, saved === 0 ? OPTIMIZER_FILE : optimizerFile(saved));
      if (!state) break;
      known.push(state);
    }
    const own = known[rank % Math.max(known.length, 1)];
    if (own) optimizer.load(own);
    for (const state of known) if (state !== own) disposeAll(state.values());
  }

  /** Tensors of a file of the newest checkpoint, which the main process reads; null when there is none. */
  private async sharedFile(store: CheckpointStore, file: string): Promise<Map<string, Tensor> | null> {
    const read = this.isMain ? await store.read(file) : null;
    const own = read ? await packTensors(read) : new Uint8Array(0);
    if (read) disposeAll(read.values());
    const bytes = await broadcastBytes(this.collective, this.isMain ? own : null);
    return bytes.byteLength > 0 ? unpackTensors(bytes, this.backend) : null;
  }
}

function sourceOf<B>(batches: B[]) {
  const left = [...batches];
  return { next: () => left.shift() as B, state: () => null, restore: () => {} };
}

function disposeAll(tensors: Iterable<Tensor>): void {
  for (const each of tensors) each.dispose();
}
