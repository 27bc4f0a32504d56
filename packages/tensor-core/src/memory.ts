import type { Backend, Storage, TensorView } from './backend.js';
import { bytesPerElement } from './dtype.js';
import { LifetimeError } from './errors.js';
import { isContiguous, sizeOf } from './shape.js';

const live = { storages: 0, bytes: 0, peakBytes: 0 };

/** Memory that tensors hold now, counted over all backends. Tensors left to the garbage collector count as held. */
export function memoryUsage(): {
  readonly storages: number;
  readonly bytes: number;
  readonly peakBytes: number;
} {
  return { ...live };
}

export function resetPeakMemory(): void {
  live.peakBytes = live.bytes;
}

export function allocateStorage(backend: Backend, byteLength: number): Storage {
  return adoptStorage(backend.allocate(byteLength));
}

/** Takes a fresh storage of a backend (references = 1) into account. */
export function adoptStorage(storage: Storage): Storage {
  live.storages++;
  live.bytes += storage.byteLength;
  if (live.bytes > live.peakBytes) live.peakBytes = live.bytes;
  return storage;
}

export function retainStorage(storage: Storage): Storage {
  storage.references++;
  return storage;
}

export function releaseStorage(storage: Storage): void {
  if (storage.references <= 0) {
    throw new LifetimeError({
      where: 'memory',
      what: 'a storage was released more often than it was retained',
    });
  }
  if (--storage.references > 0) return;
  live.storages--;
  live.bytes -= storage.byteLength;
  storage.backend.free(storage);
}

/**
 * Gives back the memory of a tensor that is part of a mapped file, until it is touched again: for weights whose turn is
 * over. Does nothing for other tensors, and once anything in the file's memory was changed.
 */
export function releasePages({ storage, offset, strides, shape, dtype }: TensorView): void {
  if (storage.version > 0 || !isContiguous(shape, strides)) return;
  const size = bytesPerElement(dtype);
  storage.discard?.(offset * size, sizeOf(shape) * size);
}

/**
 * Runs `fn` and throws when it leaves more live storages behind than it found: for tests of library loops.
 * @throws LifetimeError with the number of storages and bytes
 */
export async function expectNoLeaks<T>(fn: () => T | Promise<T>): Promise<T> {
  const before = { ...live };
  const result = await fn();
  const storages = live.storages - before.storages;
  if (storages > 0) {
    throw new LifetimeError({
      where: 'expectNoLeaks',
      what: `${storages} storages (${live.bytes - before.bytes} bytes) stayed alive`,
      expected: 'none',
      hint: 'Open a scope() in the loop, dispose() what it keeps, or return the tensors that shall live on.',
    });
  }
  return result;
}
