/** A growing list of ids. */
export class IdBuffer {
  private ids: Int32Array;
  length = 0;

  constructor(capacity = 64) {
    this.ids = new Int32Array(Math.max(16, capacity));
  }

  push(id: number): void {
    if (this.length === this.ids.length) this.reserve(1);
    this.ids[this.length++] = id;
  }

  /** Adds `count` ids of `source` from `start`. */
  append(source: Int32Array, start = 0, count = source.length): void {
    if (this.length + count > this.ids.length) this.reserve(count);
    const { ids } = this;
    // Words have few ids: a loop beats subarray and set.
    for (let i = 0, at = this.length; i < count; i++) ids[at + i] = source[start + i];
    this.length += count;
  }

  private reserve(count: number): void {
    const larger = new Int32Array(Math.max(this.ids.length * 2, this.length + count));
    larger.set(this.ids.subarray(0, this.length));
    this.ids = larger;
  }

  take(): Int32Array {
    return this.ids.slice(0, this.length);
  }
}
