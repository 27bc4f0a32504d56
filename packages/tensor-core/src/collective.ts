import type { Tensor } from './tensor.js';

/** Communication between the processes of one job: MPI (trainer) and HCCL (backend-ascend) implement it. */
export interface Collective {
  /** 0 … size - 1. */
  readonly rank: number;
  readonly size: number;
  /** Sum over all ranks, in an order that depends on `size` alone, so that every rank has the same bits. */
  allReduce(values: readonly Tensor[]): Promise<Tensor[]>;
  /** The values of rank `root`, on every rank. */
  broadcast(values: readonly Tensor[], root: number): Promise<Tensor[]>;
  /** The values of all ranks, in rank order, stacked on a new axis 0. */
  allGather(values: readonly Tensor[]): Promise<Tensor[]>;
  /** Returns when every rank has called it. */
  barrier(): Promise<void>;
}
