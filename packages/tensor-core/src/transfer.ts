import type { Backend } from './backend.js';
import { fromBytes } from './creation.js';
import { BackendError } from './errors.js';
import { cannotRepeat } from './recording.js';
import { customGradient, noGrad } from './tape.js';
import type { Tensor } from './tensor.js';

/**
 * The tensor itself where it lies on `backend` already, else a copy there, at once; gradients go back the same way. Every
 * call waits for the device and copies through the host's memory, so it belongs between large pieces of work.
 * @throws BackendError for a backend that can only be read later (`tensor.to(backend)`)
 */
export function transfer(x: Tensor, backend: Backend): Tensor {
  if (x.backend === backend) return x;
  const { readSync, name } = x.backend;
  if (!readSync) {
    throw new BackendError({
      where: 'transfer',
      what: `${name} cannot be read at once`,
      expected: 'a backend with readSync',
      hint: 'Use await tensor.to(backend).',
    });
  }
  cannotRepeat();
  const bytes = readSync.call(x.backend, x);
  const copy = noGrad(() => fromBytes(bytes, { shape: x.shape, dtype: x.dtype, backend }));
  const home = x.backend;
  customGradient('transfer', [x], [], [copy], ({ gradient }) => [transfer(gradient(0), home)]);
  return copy;
}
