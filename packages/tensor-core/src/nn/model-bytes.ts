import type { Storage, Tensor } from '../index.js';
import type { Module } from './module.js';
import { packedTensors } from './packed-tensors.js';

/**
 * Bytes of all parameters, buffers and packed weights, shared ones once. A view counts for itself, not for the file or the
 * larger tensor that it is a part of.
 */
export function modelBytes(model: Module): number {
  return bytesInTurn([model])[0];
}

/** Bytes of each module, as {@link modelBytes}: what it shares with one before it was counted there. */
export function bytesInTurn(modules: readonly Module[]): number[] {
  const counted = new Map<Storage, Map<number, number>>();
  return modules.map((module) => {
    let added = 0;
    for (const { storage, offset, byteLength } of tensorsOf(module)) {
      const views = counted.get(storage) ?? new Map<number, number>();
      counted.set(storage, views);
      const known = views.get(offset) ?? 0;
      if (byteLength <= known) continue;
      views.set(offset, byteLength);
      added += byteLength - known;
    }
    return added;
  });
}

function tensorsOf(model: Module): Tensor[] {
  return [
    ...model.parameters().map(({ value }) => value),
    ...[...model.namedBuffers()].map(([, { value }]) => value),
    ...[...model.namedModules()].flatMap(([, module]) => packedTensors(module).flatMap(({ parts }) => parts)),
  ];
}
