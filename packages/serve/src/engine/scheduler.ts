/** What the scheduler knows of a request. */
export interface Schedulable {
  /** Tokens that are known but not in the cache yet: the rest of the prompt, or the one sampled last. */
  readonly pending: number;
  /** The most tokens that can ever be in the cache: prompt and maxTokens. */
  readonly longest: number;
}

export interface SchedulerLimits {
  /** Pages of the KV cache in all. */
  readonly pages: number;
  /** Tokens per page. */
  readonly pageSize: number;
  /** Requests in one batch. */
  readonly maxRunning: number;
  /** Requests that may wait. */
  readonly maxWaiting: number;
  /** Rows of one step; at least `maxRunning`, so that every running request can advance by one token. */
  readonly tokensPerStep: number;
}

/** How many tokens of which request a step computes. */
export interface StepEntry<T> {
  readonly request: T;
  readonly count: number;
}

/**
 * Decides who runs, and what one step computes. Requests are admitted first come, first served, and only when the
 * pages for their longest possible text are free: an admitted request always finishes, without preemption.
 */
export class Scheduler<T extends Schedulable> {
  private readonly queue: T[] = [];
  private readonly active: T[] = [];
  private reserved = 0;

  constructor(private readonly limits: SchedulerLimits) {}

  get waiting(): readonly T[] {
    return this.queue;
  }
  get running(): readonly T[] {
    return this.active;
  }
  get isIdle(): boolean {
    return this.queue.length === 0 && this.active.length === 0;
  }
  /** Pages promised to running requests. */
  get reservedPages(): number {
    return this.reserved;
  }
  get isFull(): boolean {
    return this.queue.length >= this.limits.maxWaiting;
  }

  enqueue(request: T): void {
    this.queue.push(request);
  }

  /** Takes a request out, wherever it is; its pages are free for others. */
  remove(request: T): void {
    const waiting = this.queue.indexOf(request);
    if (waiting >= 0) this.queue.splice(waiting, 1);
    const running = this.active.indexOf(request);
    if (running < 0) return;
    this.active.splice(running, 1);
    this.reserved -= this.pagesOf(request);
  }

  /** Moves those that fit from the queue into the batch; returns them. A large one at the head is not overtaken. */
  admit(): readonly T[] {
    const admitted: T[] = [];
    while (this.queue.length > 0 && this.active.length < this.limits.maxRunning) {
      const needed = this.pagesOf(this.queue[0]);
      if (this.reserved + needed > this.limits.pages) break;
      const request = this.queue.shift() as T;
      this.active.push(request);
      this.reserved += needed;
      admitted.push(request);
    }
    return admitted;
  }

  /**
   * One step: a row for every request that has one token to compute, so that answers keep flowing, and the rest of
   * the budget in even parts for prompts, so that a long one does not hold up the short ones beside it.
   */
  plan(): readonly StepEntry<T>[] {
    const decoding = this.active.filter(({ pending }) => pending === 1);
    const prefilling = this.active.filter(({ pending }) => pending > 1);
    const counts = share(
      prefilling.map(({ pending }) => pending),
      this.limits.tokensPerStep - decoding.length,
    );
    return [
      ...decoding.map((request) => ({ request, count: 1 })),
      ...prefilling.map((request, i) => ({ request, count: counts[i] })),
    ].filter(({ count }) => count > 0);
  }

  private pagesOf({ longest }: T): number {
    return Math.ceil(longest / this.limits.pageSize);
  }
}

/** Divides `budget` among demands: nobody gets more than asked, what one leaves goes to the others. */
export function share(demands: readonly number[], budget: number): readonly number[] {
  const shares = new Array<number>(demands.length).fill(0);
  const bySize = demands.map((_, i) => i).sort((a, b) => demands[a] - demands[b] || a - b);
  let left = budget;
  bySize.forEach((index, served) => {
    shares[index] = Math.min(demands[index], Math.floor(left / (bySize.length - served)));
    left -= shares[index];
  });
  return shares;
}
