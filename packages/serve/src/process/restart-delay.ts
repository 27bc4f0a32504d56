const first = 100;
const longest = 30_000;
/** A process that ran this long was well: what ends it then has a new reason. */
const healthy = 60_000;

/** How long to wait before a crashed process is started again, in milliseconds: twice as long each time, within limits. */
export class RestartDelay {
  private next = first;

  after(lifetime: number): number {
    if (lifetime >= healthy) this.next = first;
    const delay = this.next;
    this.next = Math.min(2 * delay, longest);
    return delay;
  }
}
