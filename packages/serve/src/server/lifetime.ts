import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';

/** Which requests are being answered, and how they end: with their client, or with the server. */
export class Lifetime {
  private readonly responses = new Set<ServerResponse>();
  private readonly stop = new AbortController();
  private draining = false;
  private whenEmpty: (() => void) | null = null;

  get isDraining(): boolean {
    return this.draining;
  }

  /** Counts a response until it is closed. The signal fires when it is, or when the server stops waiting for it. */
  begin(response: ServerResponse): AbortSignal {
    const gone = new AbortController();
    if (response.closed || response.destroyed) {
      gone.abort();
      return gone.signal;
    }
    this.responses.add(response);
    response.once('close', () => {
      gone.abort();
      this.responses.delete(response);
      if (this.responses.size === 0) this.whenEmpty?.();
    });
    const signal = AbortSignal.any([gone.signal, this.stop.signal]);
    // One request may have many answers, each of which listens: that is no leak.
    setMaxListeners(0, signal);
    return signal;
  }

  /** Lets running requests finish for at most `milliseconds`, then ends them. New ones are refused from now on. */
  async drain(milliseconds: number): Promise<void> {
    this.draining = true;
    if (this.responses.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.whenEmpty = resolve;
    });
    const timer = setTimeout(() => this.stop.abort(), milliseconds);
    await empty;
    clearTimeout(timer);
  }
}
