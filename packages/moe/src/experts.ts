import {
  concat,
  type GateActivation,
  isTraining,
  readIndices,
  swiglu,
  type Tensor,
} from '@frugal/tensor-core';
import { isWatched, Module } from '@frugal/tensor-core/nn';
import type { ExpertResidence } from './expert-residence.js';
import type { StackedLinear } from './stacked-linear.js';

/** The gated MLPs of all experts, down(activation(gate(x)) · up(x)), over rows sorted by expert. */
export class Experts extends Module {
  // Hidden from members(): it knows the router of the next layer.
  #residence: ExpertResidence | null = null;

  constructor(
    readonly gate: StackedLinear,
    readonly up: StackedLinear,
    readonly down: StackedLinear,
    readonly activation: GateActivation = 'silu',
  ) {
    super();
  }

  get stacks(): readonly StackedLinear[] {
    return [this.gate, this.up, this.down];
  }

  /** From now on experts are in memory only while the residence lets them. */
  keepIn(residence: ExpertResidence): void {
    this.#residence = residence;
  }

  /** Null: all experts stay in memory. */
  get residence(): ExpertResidence | null {
    return this.#residence;
  }

  /** [M, C] and offsets i32 [E + 1] → [M, C]. `input`: the rows [N, C] of the layer, before they were sorted by expert. */
  forward(x: Tensor, offsets: Tensor, input = x): Tensor {
    const bounds = this.isOneProduct ? null : readIndices(offsets);
    if (bounds && x.shape[0] > 0) return this.chosenOnly(x, bounds, input);
    const inner = swiglu(this.gate.forward(x, offsets), this.up.forward(x, offsets), this.activation);
    return this.down.forward(inner, offsets);
  }

  /** Whether all experts are best computed together: by grouped products, and where gradients or hooks want to see each. */
  private get isOneProduct(): boolean {
    const { stacks } = this;
    if (isTraining() || stacks.some(({ sites }) => sites.some(isWatched))) return true;
    return !this.#residence && stacks.every((stack) => stack.isOneProduct);
  }

  /** Experts with rows, one after the other, each over its own. */
  private chosenOnly(x: Tensor, bounds: Int32Array, input: Tensor): Tensor {
    const chosen = [...this.gate.sites.keys()].filter((e) => bounds[e + 1] > bounds[e]);
    this.#residence?.begin(input, chosen);
    const results = chosen.map((e) => {
      this.#residence?.take(e);
      const rows = x.slice(0, bounds[e], bounds[e + 1]);
      const [gate, up, down] = this.stacks.map((stack) => stack.site(e));
      return down.forward(swiglu(gate.forward(rows), up.forward(rows), this.activation));
    });
    return results.length === 1 ? results[0] : concat(results);
  }
}
