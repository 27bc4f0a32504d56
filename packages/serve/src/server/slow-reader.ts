import type { ServerResponse } from 'node:http';

/**
 * Hangs up on a client that reads nothing for so many milliseconds although there is something to read: it would hold
 * its place in the engine for ever. Waiting for the engine does not count.
 */
export function dropSlowReader(response: ServerResponse, timeout: number): void {
  // The socket tells when nothing has moved on it; what it still has to send tells whose fault that is.
  response.setTimeout(timeout, () => {
    if (response.writableLength > 0) response.destroy();
  });
}
