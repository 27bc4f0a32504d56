import { type Backend, type Tensor, transfer } from '@frugal/tensor-core';
import { type CausalLM, homeOf } from '@frugal/tensor-core/nn';
import type { NamedParameter } from './optimizers/optimizer.js';
import type { TrainableModel } from './options.js';

/** Whether blocks of the model lie on different backends. */
export function isSpread({ placement }: TrainableModel): boolean {
  return placement !== undefined;
}

/** Where batches come in and losses come out. */
export function homeOfTraining(model: TrainableModel, [{ parameter }]: readonly NamedParameter[]): Backend {
  // Only language models have a placement.
  return isSpread(model) ? homeOf(model as TrainableModel & CausalLM) : parameter.value.backend;
}

/** Items by the backend that they lie on, in the order in which these appear. */
export function byBackend<T>(
  items: readonly T[],
  tensorOf: (item: T) => Tensor,
): ReadonlyMap<Backend, readonly T[]> {
  const groups = new Map<Backend, T[]>();
  for (const item of items) {
    const { backend } = tensorOf(item);
    const group = groups.get(backend);
    if (group) group.push(item);
    else groups.set(backend, [item]);
  }
  return groups;
}

/** The tensor itself where it lies on `backend`, else a copy there, the old one freed. */
export function movedTo(tensor: Tensor, backend: Backend): Tensor {
  if (tensor.backend === backend) return tensor;
  const moved = transfer(tensor, backend);
  tensor.dispose();
  return moved;
}
