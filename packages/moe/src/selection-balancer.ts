import {
  ArgumentError,
  type Collective,
  keep,
  noGrad,
  scope,
  type Tensor,
  transfer,
} from '@frugal/tensor-core';
import type { Buffer, Module } from '@frugal/tensor-core/nn';
import { nextSelectionBias } from './balance.js';
import { MixtureOfExperts } from './mixture.js';

/** A layer whose router has a selection bias, by the name of the load that it reports. */
type Biased = ReadonlyMap<string, Buffer>;

/**
 * Balancing without auxiliary loss (arXiv:2408.15664; DeepSeek-V3, arXiv:2412.19437, §2.1.2): after every step the
 * selection bias of each expert moves by `rate` towards an even load. Give it to the loss as its observer and call
 * {@link update} after each step. It sees the rows of training alone, each once: evaluation does not call it, and blocks
 * that are computed twice report once.
 */
export class SelectionBalancer {
  /** What the model must collect: `PATH.load` of each layer. */
  readonly collect: ReadonlySet<string>;
  private readonly biases: Biased;
  private readonly loads = new Map<string, Tensor>();

  /** @throws ArgumentError when no router of the model has a selection bias, or the rate is not positive */
  constructor(
    model: Module,
    private readonly rate = 0.001,
  ) {
    this.biases = biasesOf(model);
    this.collect = new Set(this.biases.keys());
    if (this.biases.size === 0)
      throw new ArgumentError({
        where: 'SelectionBalancer',
        what: 'no router of this model has a selection bias',
        hint: 'Balance it with an auxiliary loss: router_aux_loss_coef in its config.',
      });
    if (!(rate > 0))
      throw new ArgumentError({
        where: 'SelectionBalancer',
        what: 'bad rate',
        got: String(rate),
        expected: 'a positive number; 0.001 in DeepSeek-V3',
      });
  }

  /** Adds the loads of one micro-batch. */
  observe(collected: ReadonlyMap<string, Tensor>): void {
    for (const name of this.collect) {
      const load = collected.get(name);
      if (!load) continue;
      const before = this.loads.get(name);
      this.loads.set(name, keep(noGrad(() => (before ? before.add(load) : load.copy()))));
      before?.dispose();
    }
  }

  /** Sums the loads of the step over all ranks: every rank calls it before {@link update}. */
  async reduce(collective: Collective): Promise<void> {
    const names = [...this.loads.keys()];
    const sums = await collective.allReduce(names.map((name) => this.loads.get(name) as Tensor));
    for (const [i, name] of names.entries()) {
      this.loads.get(name)?.dispose();
      this.loads.set(name, keep(sums[i]));
    }
  }

  /** Moves the biases by the loads since the last call. `finite` f32 []: where it is 0, nothing moves. */
  update(finite?: Tensor): void {
    noGrad(() =>
      scope(() => {
        for (const [name, load] of this.loads) {
          const { value } = this.biases.get(name) as Buffer;
          // The layer may lie on another backend than the loss, which loads and flag come from.
          const change = nextSelectionBias(value, transfer(load, value.backend), this.rate).sub(value);
          value.assign(value.add(finite ? change.mul(transfer(finite, value.backend)) : change));
        }
      }),
    );
    this.forget();
  }

  /** Frees the loads that were observed and not used. */
  dispose(): void {
    this.forget();
  }

  private forget(): void {
    for (const load of this.loads.values()) load.dispose();
    this.loads.clear();
  }
}

/** Whether {@link SelectionBalancer} has something to do. */
export function hasSelectionBias(model: Module): boolean {
  return biasesOf(model).size > 0;
}

function biasesOf(model: Module): Biased {
  return new Map(
    [...model.namedModules()].flatMap(([, module]) =>
      module instanceof MixtureOfExperts && module.router.selectionBias
        ? [[`${module.path}.load`, module.router.selectionBias] as const]
        : [],
    ),
  );
}
