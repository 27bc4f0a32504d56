import type { ClientLimits } from './api-keys.js';

const minute = 60_000;

/** What is left of a client's requests. */
export interface Allowance {
  /** Requests a minute; null: no limit. */
  readonly limit: number | null;
  readonly remaining: number;
  /** Milliseconds until all of them are there again. */
  readonly reset: number;
  /** Why a request is refused now, and when to come back in milliseconds; null when it may go on. */
  readonly refusal: { readonly reason: 'rate' | 'concurrency'; readonly after: number } | null;
}

/** Counts the requests of one client: a bucket that refills evenly (token bucket), and those that are running. */
export class ClientMeter {
  private running = 0;
  private level: number | null = null;
  private updated = 0;

  constructor(private readonly limits: ClientLimits) {}

  /** Asks for one request at the time `now`, in milliseconds. When it may go on, `end` must follow it. */
  begin(now: number): Allowance {
    const { requestsPerMinute: limit = null, concurrentRequests = Number.POSITIVE_INFINITY } = this.limits;
    if (limit !== null) this.refill(limit, now);
    const level = this.level ?? 0;
    if (this.running >= concurrentRequests)
      return this.allowance(limit, { reason: 'concurrency', after: 1000 });
    if (limit !== null && level < 1) {
      return this.allowance(limit, { reason: 'rate', after: ((1 - level) * minute) / limit });
    }
    if (limit !== null) this.level = level - 1;
    this.running++;
    return this.allowance(limit, null);
  }

  /**
   * A request that may go on writes so many answers more than one. Each counts like a request; what there is not enough for is
   * owed. False, and nothing taken, when so many must not run at once.
   */
  widen(answers: number): boolean {
    const { concurrentRequests = Number.POSITIVE_INFINITY } = this.limits;
    if (answers > 0 && this.running + answers > concurrentRequests) return false;
    this.running += answers;
    if (this.level !== null) this.level -= answers;
    return true;
  }

  end(answers = 1): void {
    this.running -= answers;
  }

  private refill(limit: number, now: number): void {
    const level = this.level ?? limit;
    this.level = Math.min(limit, level + ((now - this.updated) * limit) / minute);
    this.updated = now;
  }

  private allowance(limit: number | null, refusal: Allowance['refusal']): Allowance {
    const level = this.level ?? 0;
    const reset = limit === null ? 0 : ((limit - level) * minute) / limit;
    return { limit, remaining: Math.max(0, Math.floor(level)), reset, refusal };
  }
}
