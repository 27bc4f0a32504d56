/**
 * A queue between one producer and one consumer. What is pushed before the consumer looks is kept; `onLeave` runs
 * when the consumer stops looking before the end, at once, even while it waits for an event.
 */
export class EventStream<T> implements AsyncIterable<T> {
  private readonly events: T[] = [];
  private failure: { readonly error: unknown } | null = null;
  private ended = false;
  private wake: () => void = () => {};

  constructor(private readonly onLeave: () => void = () => {}) {}

  push(event: T): void {
    if (this.ended) return;
    this.events.push(event);
    this.wake();
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  /** The consumer gets what was pushed, then this error. */
  fail(error: unknown): void {
    if (this.ended) return;
    this.failure = { error };
    this.end();
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => this.next(),
      return: async () => {
        this.leave();
        return { done: true, value: undefined };
      },
    };
  }

  private async next(): Promise<IteratorResult<T, undefined>> {
    while (this.events.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    if (this.events.length > 0) return { done: false, value: this.events.shift() as T };
    const { failure } = this;
    this.failure = null;
    if (failure) throw failure.error;
    return { done: true, value: undefined };
  }

  private leave(): void {
    this.events.length = 0;
    this.failure = null;
    if (this.ended) return;
    this.end();
    this.onLeave();
  }
}
