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
 * head) stays one. Each packed weight is freed before the next one is unpacked.
 */
export function unpackModel(model: Model): void {
  const uses = new Map<PackedTensor, (readonly [string, PackedLinear | PackedEmbedding])[]>();
  for (const [path, module] of model.namedModules()) {
    if (!(module instanceof PackedLinear || module instanceof PackedEmbedding)) continue;
    uses.set(module.weight, [...(uses.get(module.weight) ?? []), [path, module]]);
  }
  for (const [weight, modules] of uses) {
    const dense = new Parameter(noGrad(() => scope(() => weight.unpack())));
    for (const [path, module] of modules) {
      const isEmbedding = module instanceof PackedEmbedding;
      model.replace(path, isEmbedding ? new Embedding(dense) : new Linear(dense, module.bias?.value ?? null));
    }
    weight.dispose();
  }
}
