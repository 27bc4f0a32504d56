import { noGrad, type PackedTensor, scope } from '@frugal/tensor-core';
import {
  Embedding,
  Linear,
  type Model,
  PackedEmbedding,
  PackedLinear,
  Parameter,
} from '@frugal/tensor-core/nn';

/**
 * Puts dense f32 weights in the place of all packed ones, so that they can be trained; a matrix with two uses (embedding and
 * head) stays one. The packed weights are freed.
 */
export function unpackModel(model: Model): void {
  const dense = new Map<PackedTensor, Parameter>();
  for (const [path, module] of [...model.namedModules()]) {
    if (!(module instanceof PackedLinear || module instanceof PackedEmbedding)) continue;
    const { weight } = module;
    const parameter = dense.get(weight) ?? new Parameter(noGrad(() => scope(() => weight.unpack())));
    dense.set(weight, parameter);
    const isEmbedding = module instanceof PackedEmbedding;
    model.replace(
      path,
      isEmbedding ? new Embedding(parameter) : new Linear(parameter, module.bias?.value ?? null),
    );
  }
  for (const weight of dense.keys()) weight.dispose();
}
