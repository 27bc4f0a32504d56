/**
 * A queue between one producer and one consumer. What is pushed before the consumer looks is kept; `onLeave` runs
 * when the consumer stops looking before the end.
 */
export class EventStream<T> implements AsyncIterable<T> {
  private readonly events: T[] = [];
  private failure: unknown;
  private ended = false;
  private wake: (() => void) | null = null;

  constructor(private readonly onLeave: () => void) {}

  push(event: T): void {
    if (this.ended) return;
    this.events.push(event);
    this.wake?.();
  }

  end(): void {
    this.ended = true;
    this.wake?.();
  }

  /** The consumer gets what was pushed, then this error. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.failure = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        while (this.events.length > 0) yield this.events.shift() as T;
        if (this.ended) break;
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
        this.wake = null;
      }
      if (this.failure !== undefined) throw this.failure;
    } finally {
      if (!this.ended) this.onLeave();
      this.ended = true;
    }
  }
}
