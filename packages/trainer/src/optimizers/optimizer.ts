import type { Tensor } from '@frugal/tensor-core';
import type { Parameter } from '@frugal/tensor-core/nn';

export interface NamedParameter {
  readonly path: string;
  readonly parameter: Parameter;
}

/** One update. `scale` and `finite` stay on the device: nothing waits for them. */
export interface Update {
  readonly learningRate: number;
  /** Number of this update, from 1; corrects the bias of running means. */
  readonly step: number;
  /** f32 []: gradients are multiplied by it (clipping, tokens of the batch, loss scale). */
  readonly scale: Tensor;
  /** f32 []: with 0 nothing changes at all, neither parameters nor state. */
  readonly finite: Tensor;
}

/** Changes parameters in place from their gradients. Parameters without a gradient are left alone. */
export interface Optimizer {
  step(parameters: readonly NamedParameter[], update: Update): void;
  /** What must be saved to go on exactly. The tensors stay the optimizer's. */
  state(): ReadonlyMap<string, Tensor>;
  /** Takes over tensors that `state()` of an optimizer of the same kind gave. @throws TrainerError for unknown names */
  load(state: ReadonlyMap<string, Tensor>): void;
  /** Frees the state. */
  dispose(): void;
}
