/** What the scheduler knows of a request. */
export interface Schedulable {
  /** Tokens to compute: the rest of the prompt, or the one sampled last and guesses behind it. */
  readonly pending: number;
  /** Whether it still reads tokens that are known: its prompt, or all it had when it was preempted. */
  readonly isPrompt: boolean;
  /** Higher ones go first. */
  readonly priority: number;
}

export interface SchedulerLimits {
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
 * Decides who runs, and what one step computes. Higher priorities come first, and among equals who came first: a
 * preempted request goes back to its old place. Whether there is memory is for others to say.
 */
export class Scheduler<T extends Schedulable> {
  private readonly queue: T[] = [];
  private readonly active: T[] = [];
  private readonly arrivals = new Map<T, number>();
  private nextArrival = 0;

  constructor(private readonly limits: SchedulerLimits) {}

  /** In the order in which they will run. */
  get waiting(): readonly T[] {
    return this.queue;
  }
  /** The first one is the last to be preempted. */
  get running(): readonly T[] {
    return this.active;
  }
  get isIdle(): boolean {
    return this.queue.length === 0 && this.active.length === 0;
  }
  get isFull(): boolean {
    return this.queue.length >= this.limits.maxWaiting;
  }

  enqueue(request: T): void {
    this.arrivals.set(request, this.nextArrival++);
    this.insert(this.queue, request);
  }

  /** Takes a request out, wherever it is. */
  remove(request: T): void {
    for (const list of [this.queue, this.active]) {
      const at = list.indexOf(request);
      if (at >= 0) list.splice(at, 1);
    }
    this.arrivals.delete(request);
  }

  /** Moves requests into the batch as long as `start` finds room for the next one: nobody overtakes it. */
  admit(start: (request: T) => boolean, stop: (request: T) => void): void {
    while (this.queue.length > 0) {
      const next = this.queue[0];
      if (this.active.length < this.limits.maxRunning && start(next)) {
        this.queue.shift();
        this.insert(this.active, next);
        continue;
      }
      const last = this.active.at(-1);
      if (!last || last.priority >= next.priority) return;
      this.preempt(stop);
    }
  }

  /** Sends the last running request back to wait. */
  preempt(stop: (request: T) => void): void {
    const last = this.active.pop() as T;
    stop(last);
    this.insert(this.queue, last);
  }

  /**
   * One step: all rows of every request that writes, so that answers keep flowing, and the rest of the budget in even parts
   * for prompts, so that a long one does not hold up the short ones beside it.
   */
  plan(requests: readonly T[] = this.active): readonly StepEntry<T>[] {
    const writing = requests.filter(({ isPrompt }) => !isPrompt);
    const reading = requests.filter(({ isPrompt }) => isPrompt);
    const counts = share(
      reading.map(({ pending }) => pending),
      this.limits.tokensPerStep - writing.reduce((sum, { pending }) => sum + pending, 0),
    );
    return [
      ...writing.map((request) => ({ request, count: request.pending })),
      ...reading.map((request, i) => ({ request, count: counts[i] })),
    ].filter(({ count }) => count > 0);
  }

  private insert(list: T[], request: T): void {
    const later = list.findIndex((other) => this.isBefore(request, other));
    list.splice(later < 0 ? list.length : later, 0, request);
  }

  private isBefore(a: T, b: T): boolean {
    const arrived = (request: T) => this.arrivals.get(request) as number;
    return a.priority !== b.priority ? a.priority > b.priority : arrived(a) < arrived(b);
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
