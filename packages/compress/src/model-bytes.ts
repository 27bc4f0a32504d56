import { bytesPerElement, type Storage, type Tensor } from '@frugal/tensor-core';
import type { Module } from '@frugal/tensor-core/nn';
import { packedWeightOf } from './module-state.js';

/**
 * Bytes of all parameters, buffers and packed weights, shared ones once. A view counts for itself, not for the file or the
 * larger tensor that it is a part of.
 */
export function modelBytes(model: Module): number {
  const counted = new Map<Storage, Map<number, number>>();
  for (const { storage, offset, size, dtype } of tensorsOf(model)) {
    const views = counted.get(storage) ?? new Map<number, number>();
    views.set(offset, size * bytesPerElement(dtype));
    counted.set(storage, views);
  }
  return [...counted.values()].flatMap((views) => [...views.values()]).reduce((sum, bytes) => sum + bytes, 0);
}

function tensorsOf(model: Module): Tensor[] {
  return [
    ...model.parameters().map(({ value }) => value),
    ...[...model.namedBuffers()].map(([, { value }]) => value),
    ...[...model.namedModules()].flatMap(([, module]) => packedWeightOf(module)?.parts ?? []),
  ];
}
