import { setImmediate } from 'node:timers/promises';
import { concat, keep, sumOfSquares, type Tensor, tensor, zeros } from '@frugal/tensor-core';
import { OPTIMIZER_FILE } from '../checkpoints.js';
import { TrainerError } from '../errors.js';
import { requireGradients, scaleOf } from '../gradients.js';
import type { NamedParameter } from '../optimizers/optimizer.js';
import type { TrainOptions } from '../options.js';
import { movedTo } from '../placement.js';
import { addGradients, type LaunchedStep, type Part, type StepPlan } from '../train-step.js';
import type { Wishes } from './crew.js';
import { DistributedCrew, type Gathered } from './distributed-crew.js';
import type { DistributedOptions } from './options.js';
import { Owners } from './owners.js';
import { nodesOf, ReductionTree, type TreeNode } from './reduction-tree.js';
import { rangeOf } from './shares.js';
import { broadcastBytes, gatherBytes, packTensors, unpackTensors } from './tensor-message.js';

/** What all ranks know about the units of a step. */
interface StepFacts {
  readonly mean: number;
  readonly weight: number;
  readonly tokens: number;
  /** Whether any unit gave a parameter a gradient. */
  readonly hasGradient: readonly boolean[];
  /** 1 where a check passed in all units. */
  readonly passed: readonly number[];
}

/**
 * Data parallel training with the same bits for any number of ranks and any division of the work: the gradient of each
 * unit is computed by itself, and all are added along one fixed tree. Each parameter is updated by its owner, which alone
 * keeps the optimizer's tensors for it, and then sent to all.
 */
export class SynchronousCrew<B> extends DistributedCrew<B> {
  private readonly owners: Owners;
  private readonly indices: ReadonlyMap<string, number>;

  constructor(
    options: TrainOptions<B>,
    distributed: DistributedOptions<B>,
    parameters: readonly NamedParameter[],
    ownWishes: () => Wishes,
  ) {
    super(options, distributed, parameters, ownWishes);
    this.owners = new Owners(parameters, this.collective.size);
    this.indices = new Map(parameters.map(({ path }, i) => [path, i]));
  }

  protected async makeStep(plan: StepPlan): Promise<LaunchedStep> {
    const batches = await this.draw();
    const units = batches.flatMap((batch) =>
      Array.from({ length: this.units.count(batch) }, (_, i) => this.units.slice(batch, i, i + 1)),
    );
    this.lastShares = this.shares.divide(units.length);
    const { from, to } = rangeOf(this.lastShares, this.collective.rank);
    const started = performance.now();
    const { model, loss } = this.options;
    const tree = new ReductionTree<Tensor[]>((a, b) => this.addAll(a, b));
    const parts: Part[] = [];
    const seen = new Array<boolean>(this.parameters.length).fill(false);
    try {
      for (let index = from; index < to; index++) {
        parts.push(addGradients(model, this.parameters, units[index], loss, plan.lossScale));
        tree.push({ level: 0, index }, this.takeGradients(seen));
        await setImmediate();
      }
      const checks = [...new Set(parts.flatMap((part) => [...part.checks.keys()]))];
      const facts = await this.exchangeFacts(parts, {
        from,
        count: units.length,
        started,
        seen,
        checks,
        plan,
      });
      const gradients = await this.exchangeGradients(tree, units.length);
      const { outcome, finite } = await this.update(plan, gradients, facts);
      await this.shareParameters();
      await this.options.reduce?.(this.collective);
      this.onDevice(() => {
        this.options.afterStep?.(plan.step, finite);
        this.options.average?.update(this.parameters, plan.step);
      });
      finite.dispose();
      const values = outcome.toFloat32();
      values.catch(() => {});
      const { step, learningRate } = plan;
      return { step, learningRate, tokens: facts.tokens, checks, outcome, values };
    } finally {
      for (const { sum, checks } of parts) for (const part of [sum, ...checks.values()]) part.dispose();
      for (const { parameter } of this.parameters) parameter.clearGradient();
    }
  }

  /** The gradients that the last unit left, at home, zeros where it left none. */
  private takeGradients(seen: boolean[]): Tensor[] {
    const { backend } = this;
    return this.onDevice(() =>
      this.parameters.map(({ parameter }, i) => {
        const { gradient, value } = parameter;
        value.grad = null;
        if (gradient) seen[i] = true;
        return keep(gradient ? movedTo(gradient, backend) : zeros(value.shape));
      }),
    );
  }

  private addAll(left: readonly Tensor[], right: readonly Tensor[]): Tensor[] {
    const sums = this.onDevice(() => left.map((value, i) => keep(value.add(right[i]))));
    for (const value of [...left, ...right]) value.dispose();
    return sums;
  }

  private async exchangeFacts(
    parts: readonly Part[],
    {
      from,
      count,
      started,
      seen,
      checks,
      plan,
    }: {
      readonly from: number;
      readonly count: number;
      readonly started: number;
      readonly seen: readonly boolean[];
      readonly checks: readonly string[];
      readonly plan: StepPlan;
    },
  ): Promise<StepFacts> {
    const sums = await Promise.all(parts.map(({ sum }) => sum.item()));
    const passed = await Promise.all(
      checks.map(async (name) => {
        const flags = await Promise.all(parts.map((part) => part.checks.get(name)?.item() ?? 1));
        return Math.min(...flags);
      }),
    );
    const seconds = (performance.now() - started) / 1000;
    const own: number[] = new Array(3 * count).fill(0);
    for (const [i, { weight, tokens }] of parts.entries()) {
      own.splice(3 * (from + i), 3, sums[i], weight, tokens);
    }
    const { stop, save } = this.ownWishes();
    const all = await this.tell([
      seconds,
      Number(stop),
      Number(save),
      ...seen.map(Number),
      ...passed,
      ...own,
    ]);
    this.agreed = { stop: all.some((facts) => facts[1] > 0), save: all.some((facts) => facts[2] > 0) };
    this.shares.observe(this.lastShares, [...all.map((facts) => facts[0])]);
    const rows = 3 + seen.length + passed.length;
    const total = (field: number) => {
      let sum = 0;
      // In the order of the units, each of which one rank alone knows.
      for (let unit = 0; unit < count; unit++) {
        for (const facts of all) sum += facts[rows + 3 * unit + field];
      }
      return sum;
    };
    const weight = total(1);
    if (!(weight > 0)) {
      const what = `the items of step ${plan.step} weigh nothing`;
      throw new TrainerError({ where: 'train', what, got: String(weight) });
    }
    return {
      mean: total(0) / weight,
      weight,
      tokens: total(2),
      hasGradient: seen.map((_, i) => all.some((facts) => facts[3 + i] > 0)),
      passed: passed.map((_, i) => Math.min(...all.map((facts) => facts[3 + seen.length + i]))),
    };
  }

  /** Sums over all units of the gradients of own parameters. */
  private async exchangeGradients(tree: ReductionTree<Tensor[]>, count: number): Promise<Tensor[]> {
    const { rank, size } = this.collective;
    const mine = this.owners.parameters[rank];
    const pick = (all: readonly Tensor[], owner: number) =>
      this.owners.parameters[owner].map(({ path }) => all[this.indices.get(path) as number]);
    const outgoing = this.onDevice(() =>
      Array.from({ length: size }, (_, owner) => {
        const flat = tree.nodes().flatMap(({ value }) => pick(value, owner).map((each) => each.reshape(-1)));
        return keep(owner === rank || flat.length === 0 ? zeros([0]) : concat(flat));
      }),
    );
    const incoming = size > 1 ? await this.collective.allToAll(outgoing) : outgoing;
    const result = new ReductionTree<Tensor[]>((a, b) => this.addAll(a, b));
    for (let from = 0; from < size; from++) {
      const range = rangeOf(this.lastShares, from);
      const parts: readonly (readonly [TreeNode, Tensor[]])[] =
        from === rank
          ? tree.nodes().map(({ node, value }) => [node, pick(value, rank)] as const)
          : this.partsOf(incoming[from], nodesOf(range.from, range.to), mine);
      for (const [node, values] of parts) result.push(node, values);
    }
    const sums = result.finish(count);
    for (const { value } of tree.nodes()) {
      for (const [i, each] of value.entries()) if (!mine.includes(this.parameters[i])) each.dispose();
    }
    for (const each of new Set([...outgoing, ...incoming])) each.dispose();
    return sums;
  }

  /** Cuts what a rank sent into the nodes that it has, and those into parameters. */
  private partsOf(
    values: Tensor,
    nodes: readonly TreeNode[],
    parameters: readonly NamedParameter[],
  ): (readonly [TreeNode, Tensor[]])[] {
    let at = 0;
    return this.onDevice(() =>
      nodes.map((node) => {
        const parts = parameters.map(({ parameter }) => {
          const { size, shape } = parameter.value;
          const part = values.slice(0, at, at + size).reshape(...shape);
          at += size;
          return keep(part);
        });
        return [node, parts] as const;
      }),
    );
  }

  private async update(
    { update, learningRate, lossScale }: StepPlan,
    gradients: readonly Tensor[],
    { mean, weight, hasGradient, passed }: StepFacts,
  ): Promise<{ readonly outcome: Tensor; readonly finite: Tensor }> {
    requireGradients(hasGradient.some(Boolean));
    const mine = this.owners.parameters[this.collective.rank];
    const squares = this.onDevice(() =>
      concat(
        this.parameters.map((named, i) => {
          const own = mine.indexOf(named);
          return own >= 0 && hasGradient[i] ? sumOfSquares(gradients[own]).reshape(1) : zeros([1]);
        }),
      ),
    );
    for (const [i, { path, parameter }] of mine.entries()) {
      const { value } = parameter;
      if (hasGradient[this.indices.get(path) as number]) value.grad = movedTo(gradients[i], value.backend);
      else gradients[i].dispose();
    }
    const [all] = await this.collective.allReduce([squares]);
    const { clipNorm, optimizer } = this.options;
    const result = this.onDevice(() => {
      const divisor = weight * lossScale;
      const norm = all
        .sum()
        .sqrt()
        .mul(1 / divisor);
      const checks = tensor(Float32Array.from([...passed, 1]));
      const flag = norm.add(mean).isFinite().cast('f32');
      const finite = flag.mul(passed.every((each) => each > 0) ? 1 : 0).reshape(1);
      const scale = scaleOf(norm, divisor, clipNorm);
      optimizer.step(mine, { learningRate, step: update, scale, finite: finite.reshape() });
      const outcome = concat([tensor([mean]), norm.reshape(1), finite, checks.slice(0, 0, passed.length)]);
      return { outcome: keep(outcome), finite: keep(finite.reshape().copy()) };
    });
    squares.dispose();
    all.dispose();
    return result;
  }

  /** Every rank gets what the owners have updated. */
  private async shareParameters(): Promise<void> {
    for (const [owner, parameters] of this.owners.parameters.entries()) {
      await this.shareTensors(
        parameters.map(({ parameter }) => parameter.value),
        owner,
      );
    }
  }

  /** The whole state of the optimizer, from its owners. */
  protected async gather(): Promise<Gathered> {
    const { optimizer } = this.options;
    if (this.collective.size === 1) {
      return { tensors: new Map([[OPTIMIZER_FILE, optimizer.state()]]), dispose: () => {} };
    }
    const all = new Map<string, Tensor>();
    for (const bytes of await gatherBytes(this.collective, await packTensors(optimizer.state()))) {
      for (const [name, value] of unpackTensors(bytes, this.backend)) all.set(name, value);
    }
    const dispose = () => {
      for (const value of all.values()) value.dispose();
    };
    return { tensors: new Map([[OPTIMIZER_FILE, all]]), dispose };
  }

  /** Every rank keeps what it owns. */
  protected async scatter(): Promise<void> {
    const { optimizer } = this.options;
    const { rank, size } = this.collective;
    if (size === 1) return;
    const bytes = await broadcastBytes(
      this.collective,
      rank === 0 ? await packTensors(optimizer.state()) : null,
    );
    const own = new Map<string, Tensor>();
    for (const [name, value] of unpackTensors(bytes, this.backend)) {
      if (this.owners.ownsSlot(rank, name)) own.set(name, value);
      else value.dispose();
    }
    optimizer.load(own);
  }
}
