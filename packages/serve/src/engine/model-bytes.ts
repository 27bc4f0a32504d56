import { type Model, packedTensors } from '@frugal/tensor-core/nn';

/** Bytes of all parameters, buffers and packed weights in memory; shared ones count once. */
export function modelBytes(model: Model): number {
  const storages = new Set(model.parameters().map(({ value }) => value.storage));
  for (const [, buffer] of model.namedBuffers()) storages.add(buffer.value.storage);
  for (const [, module] of model.namedModules()) {
    for (const { parts } of packedTensors(module)) for (const { storage } of parts) storages.add(storage);
  }
  return [...storages].reduce((sum, { byteLength }) => sum + byteLength, 0);
}
