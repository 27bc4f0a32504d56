import type { Backend } from './backend.js';
import { referenceBackend } from './reference/index.js';

let current: Backend | null = null;

/** The backend on which tensors without inputs are made. The pure TypeScript reference backend unless set. */
export function currentBackend(): Backend {
  current ??= referenceBackend();
  return current;
}

export function setBackend(backend: Backend): void {
  current = backend;
}

/** Runs `fn` with another current backend. */
export function withBackend<T>(backend: Backend, fn: () => T): T {
  const before = current;
  current = backend;
  try {
    return fn();
  } finally {
    current = before;
  }
}
