/** Moves bytes between the processes of one job: what a {@link TransportCollective} stands on. */
export interface Transport {
  /** 0 … size - 1. */
  readonly rank: number;
  readonly size: number;
  /** `parts[r]`, of any length, goes to rank r; gives what each rank sent to this one. That to itself may stay where it is. */
  exchange(parts: readonly Uint8Array[]): Promise<Uint8Array[]>;
  /** The bytes of `root`, on every rank. All know their length; only `root` gives them. */
  broadcast(bytes: Uint8Array | null, length: number, root: number): Promise<Uint8Array>;
}
