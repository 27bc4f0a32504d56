import type { Tensor } from './tensor.js';

/** Communication between the processes of one job: MPI (trainer) and HCCL (backend-ascend) implement it. */
export interface Collective {
  /** 0 … size - 1. */
  readonly rank: number;
  readonly size: number;
  /** Bytes that this rank has got from others so far. */
  readonly received: number;
  /** Sum over all ranks, in an order that depends on `size` alone, so that every rank has the same bits. */
  allReduce(values: readonly Tensor[]): Promise<Tensor[]>;
  /** The values of rank `root`, on every rank; the others give tensors of the same shapes and dtypes. */
  broadcast(values: readonly Tensor[], root: number): Promise<Tensor[]>;
  /** The values of all ranks, in rank order, stacked on a new axis 0. */
  allGather(values: readonly Tensor[]): Promise<Tensor[]>;
  /**
   * `values[r]`, [n] of any length, goes to rank r; gives what each rank sent to this one, in rank order. All have one
   * dtype.
   */
  allToAll(values: readonly Tensor[]): Promise<Tensor[]>;
  /** Returns when every rank has called it. */
  barrier(): Promise<void>;
}
