import type { Tensor } from '@frugal/tensor-core';
import { isTraining, noGrad } from '@frugal/tensor-core';
import { type GatedMLP, Module, type StepContext } from '@frugal/tensor-core/nn';
import { type BalanceOptions, sequenceLoss, switchLoss, zLoss } from './balance.js';
import { combineRows, type Dispatch, dispatchRows, salienceOf } from './dispatch.js';
import type { Experts } from './experts.js';
import type { Router, Routing } from './router.js';
import type { SharedGate } from './shared-gate.js';

export interface MixtureOptions {
  /** The path of this layer, e.g. `blocks.3.mlp`: what its losses and collected values are called by. */
  readonly path: string;
  readonly balance?: BalanceOptions;
  /** Scales what the shared experts give, per token. */
  readonly sharedGate?: SharedGate | null;
}

/**
 * A feed-forward layer of which each token uses a few experts: Σ weightₑ · expertₑ(x), plus experts that all tokens
 * share (Shazeer et al. 2017; DeepSeekMoE, arXiv:2401.06066). No token is dropped.
 */
export class MixtureOfExperts extends Module {
  readonly sharedGate: SharedGate | null;
  private readonly options: MixtureOptions;

  constructor(
    readonly router: Router,
    readonly experts: Experts,
    readonly shared: GatedMLP | null,
    options: MixtureOptions,
  ) {
    super();
    this.options = options;
    this.sharedGate = options.sharedGate ?? null;
  }

  /** What its losses, checks and collected values are called by. */
  get path(): string {
    return this.options.path;
  }

  /** [N, C] → [N, C]. While training its balancing losses go to `context.losses`, as `PATH.switchLoss` and so on. */
  forward(x: Tensor, context: StepContext): Tensor {
    const routing = this.router.forward(x);
    const dispatch = dispatchRows(routing, this.router.experts);
    this.report(routing, dispatch, context);
    const results = this.experts.forward(x.gatherRows(dispatch.tokens), dispatch.offsets, x);
    if (context.batch.collect?.has(`${this.path}.salience`))
      context.collected.set(`${this.path}.salience`, salienceOf(results, dispatch, routing));
    const routed = combineRows(results, dispatch, routing.weights);
    if (!this.shared) return routed;
    const shared = this.shared.forward(x, context);
    return routed.add(this.sharedGate ? shared.mul(this.sharedGate.forward(x)) : shared);
  }

  private report(routing: Routing, { load }: Dispatch, context: StepContext): void {
    const { batch, collected, losses, checks } = context;
    const { path, balance = {} } = this.options;
    if (batch.collect?.has(`${path}.load`)) collected.set(`${path}.load`, load);
    if (batch.collect?.has(`${path}.scores`))
      collected.set(
        `${path}.scores`,
        noGrad(() => routing.scores.detach()),
      );
    if (!isTraining()) return;
    // A router that has gone astray sends rows anywhere: the trainer stops and names the layer.
    checks.set(
      `router logits of ${path}`,
      noGrad(() => routing.logits.detach().sum().isFinite().cast('f32')),
    );
    const add = (name: string, weight: number | undefined, loss: () => Tensor) => {
      if (weight) losses.set(`${path}.${name}`, loss().mul(weight));
    };
    add('switchLoss', balance.switchLoss, () => switchLoss(routing));
    add('sequenceLoss', balance.sequenceLoss, () => sequenceLoss(routing, batch.sequenceStarts));
    add('zLoss', balance.zLoss, () => zLoss(routing));
  }
}
