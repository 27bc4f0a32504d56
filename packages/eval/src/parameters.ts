import type { PackedTensor } from '@frugal/tensor-core';
import type { Model } from '@frugal/tensor-core/nn';

/** Numbers that a model consists of, in whatever format they are stored; shared ones once, scales of packed ones not. */
export function countParameters(model: Model): number {
  const counted = new Set<unknown>();
  let total = 0;
  const count = (key: unknown, shape: readonly number[]) => {
    if (!counted.has(key)) total += shape.reduce((product, size) => product * size, 1);
    counted.add(key);
  };
  for (const parameter of model.parameters()) count(parameter, parameter.shape);
  for (const [, module] of model.namedModules()) {
    const { weight } = module as { weight?: Partial<PackedTensor> };
    if (weight?.format && weight.shape) count(weight, weight.shape);
  }
  return total;
}
