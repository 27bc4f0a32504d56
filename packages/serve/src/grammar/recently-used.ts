/** Values by number within a budget: those that were used longest ago go first. */
export class RecentlyUsed<V> {
  private readonly entries = new Map<number, { value: V; size: number }>();
  private total = 0;

  constructor(private readonly budget: number) {}

  /** Of all values. */
  get size(): number {
    return this.total;
  }

  get(key: number): V | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  /** Also says that the size of a value has changed. */
  set(key: number, value: V, size: number): void {
    this.total += size - (this.entries.get(key)?.size ?? 0);
    this.entries.delete(key);
    this.entries.set(key, { value, size });
    for (const [oldest, { size: freed }] of this.entries) {
      if (this.total <= this.budget || oldest === key) return;
      this.entries.delete(oldest);
      this.total -= freed;
    }
  }
}
