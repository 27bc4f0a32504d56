import type { Collective } from '@frugal/tensor-core';
import type { Transport } from './transport.js';
import { TransportCollective } from './transport-collective.js';

/**
 * Ranks that are parts of one process and must run at the same time: one rank alone computes what any number of them
 * would, several are for tests and trials.
 */
export function localCollectives(size = 1): Collective[] {
  const meeting = new Meeting(size);
  return Array.from(
    { length: size },
    (_, rank) => new TransportCollective(new LocalTransport(meeting, rank, size)),
  );
}

/** Where all ranks leave something and wait until the last one has come. */
class Meeting {
  private left = new Map<number, readonly Uint8Array[]>();
  private waiting: ((all: ReadonlyMap<number, readonly Uint8Array[]>) => void)[] = [];

  constructor(private readonly size: number) {}

  leave(rank: number, parts: readonly Uint8Array[]): Promise<ReadonlyMap<number, readonly Uint8Array[]>> {
    return new Promise((resolve) => {
      this.left.set(rank, parts);
      this.waiting.push(resolve);
      if (this.left.size < this.size) return;
      const [all, waiting] = [this.left, this.waiting];
      this.left = new Map();
      this.waiting = [];
      for (const go of waiting) go(all);
    });
  }
}

class LocalTransport implements Transport {
  constructor(
    private readonly meeting: Meeting,
    readonly rank: number,
    readonly size: number,
  ) {}

  async exchange(parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const all = await this.meeting.leave(this.rank, parts);
    return Array.from(
      { length: this.size },
      (_, rank) => (all.get(rank) as readonly Uint8Array[])[this.rank],
    );
  }

  async broadcast(bytes: Uint8Array | null, _length: number, root: number): Promise<Uint8Array> {
    const all = await this.meeting.leave(this.rank, bytes ? [bytes] : []);
    return (all.get(root) as readonly Uint8Array[])[0];
  }
}
