import type { Module } from './module.js';

/** A module whose forward pass can be watched. */
type Forwarding<A extends readonly unknown[], R> = Module & { forward(...inputs: A): R };

/**
 * Calls `hook` after each forward pass of a module, with its inputs and its output, until the result is disposed. Hooks
 * of one module run in the order in which they were added, and must be disposed in the opposite order.
 */
export function onForward<A extends readonly unknown[], R>(
  module: Forwarding<A, R>,
  hook: (inputs: A, output: R) => void,
): Disposable {
  return aroundForward(module, (forward, inputs) => {
    const output = forward(...inputs);
    hook(inputs, output);
    return output;
  });
}

/** Calls `hook` before each forward pass of a module, which does not come about when it throws; else as {@link onForward}. */
export function beforeForward<A extends readonly unknown[], R>(
  module: Forwarding<A, R>,
  hook: (inputs: A) => void,
): Disposable {
  return aroundForward(module, (forward, inputs) => {
    hook(inputs);
    return forward(...inputs);
  });
}

function aroundForward<A extends readonly unknown[], R>(
  module: Forwarding<A, R>,
  around: (forward: (...inputs: A) => R, inputs: A) => R,
): Disposable {
  // An own property hides the method of the class; taking it away shows what was there before.
  const before = Object.getOwnPropertyDescriptor(module, 'forward');
  const forward = module.forward.bind(module);
  const watched = (...inputs: A): R => around(forward, inputs);
  Object.defineProperty(module, 'forward', { value: watched, configurable: true, writable: true });
  return {
    [Symbol.dispose]() {
      if (before) Object.defineProperty(module, 'forward', before);
      else Reflect.deleteProperty(module, 'forward');
    },
  };
}

/** Whether a module's forward pass has hooks: then it must really be called. */
export function isWatched(module: Module): boolean {
  return Object.hasOwn(module, 'forward');
}
