import { PackedTensor } from '@frugal/tensor-core';
import type { Model } from '@frugal/tensor-core/nn';

/** Bytes of all parameters, buffers and packed weights in memory; shared ones count once. */
export function modelBytes(model: Model): number {
  const storages = new Set(model.parameters().map(({ value }) => value.storage));
  for (const [, buffer] of model.namedBuffers()) storages.add(buffer.value.storage);
  for (const [, module] of model.namedModules()) {
    const { weight } = module as { readonly weight?: unknown };
    if (weight instanceof PackedTensor) for (const part of weight.parts) storages.add(part.storage);
  }
  return [...storages].reduce((sum, { byteLength }) => sum + byteLength, 0);
}
