import type { Backend } from './backend.js';
import { ArgumentError } from './errors.js';
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

/**
 * Runs `fn` with another current backend. `fn` must be synchronous: after an `await` the old one would be current.
 * @throws ArgumentError when `fn` returns a promise
 */
export function withBackend<T>(backend: Backend, fn: () => T): T {
  const before = current;
  current = backend;
  try {
    const result = fn();
    if (!(result instanceof Promise)) return result;
    result.catch(() => {}); // this error comes first
    throw new ArgumentError({
      where: 'withBackend',
      what: 'the function is asynchronous',
      expected: 'a synchronous function',
      hint: 'Pass the backend to what is made after an await.',
    });
  } finally {
    current = before;
  }
}
