/** Texts of one request that are still to be read. */
export interface QueuedTexts {
  /** Token ids of each. */
  readonly texts: readonly ArrayLike<number>[];
  /** Higher ones go first. */
  readonly priority: number;
}

export interface PickedText<T> {
  readonly request: T;
  readonly index: number;
}

/**
 * Whose texts a step reads. The requests of the highest priority take turns, one text each, so that one of thousands holds up
 * nobody.
 */
export class EncoderQueue<T extends QueuedTexts> {
  private readonly waiting: T[] = [];
  private readonly next = new Map<T, number>();

  get length(): number {
    return this.waiting.length;
  }

  add(request: T): void {
    this.next.set(request, 0);
    this.waiting.push(request);
  }

  remove(request: T): void {
    const at = this.waiting.indexOf(request);
    if (at >= 0) this.waiting.splice(at, 1);
    this.next.delete(request);
  }

  removeAll(): readonly T[] {
    this.next.clear();
    return this.waiting.splice(0);
  }

  /** Takes texts of at most so many tokens together, and at least one. A request leaves when its last text is taken. */
  take(tokens: number): readonly PickedText<T>[] {
    const picked: PickedText<T>[] = [];
    const highest = this.waiting.reduce(
      (most, { priority }) => Math.max(most, priority),
      Number.NEGATIVE_INFINITY,
    );
    const turn = this.waiting.filter(({ priority }) => priority === highest);
    for (let left = tokens; turn.length > 0; ) {
      const request = turn.shift() as T;
      const index = this.next.get(request) as number;
      const { length } = request.texts[index];
      if (picked.length > 0 && length > left) break;
      left -= length;
      picked.push({ request, index });
      this.remove(request);
      if (index + 1 === request.texts.length) continue;
      // Behind the others: also in the step that comes.
      this.waiting.push(request);
      this.next.set(request, index + 1);
      turn.push(request);
    }
    return picked;
  }
}
