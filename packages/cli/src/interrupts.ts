/** Ctrl-C, for verbs in which it does not always mean the end. */
export class Interrupts {
  private handler: (() => void) | null = null;

  /** Until the returned function is called, Ctrl-C runs `handler` and the verb goes on. */
  capture(handler: () => void): () => void {
    this.handler = handler;
    return () => {
      if (this.handler === handler) this.handler = null;
    };
  }

  /** Ctrl-C was pressed. Returns whether somebody took it. */
  raise(): boolean {
    const { handler } = this;
    handler?.();
    return handler !== null; // also when it was its last time
  }
}
