import type { Storage, Tensor } from '../index.js';
import type { Module } from './module.js';
import { packedTensors } from './packed-tensors.js';

/**
 * Bytes of all parameters, buffers and packed weights, shared ones once. A view counts for itself, not for the file or the
 * larger tensor that it is a part of.
 */
export function modelBytes(model: Module): number {
  const counted = new Map<Storage, Map<number, number>>();
  for (const { storage, offset, byteLength } of tensorsOf(model)) {
    const views = counted.get(storage) ?? new Map<number, number>();
    views.set(offset, Math.max(byteLength, views.get(offset) ?? 0));
    counted.set(storage, views);
  }
  return [...counted.values()].flatMap((views) => [...views.values()]).reduce((sum, bytes) => sum + bytes, 0);
}

function tensorsOf(model: Module): Tensor[] {
  return [
    ...model.parameters().map(({ value }) => value),
    ...[...model.namedBuffers()].map(([, { value }]) => value),
    ...[...model.namedModules()].flatMap(([, module]) => packedTensors(module).flatMap(({ parts }) => parts)),
  ];
}
