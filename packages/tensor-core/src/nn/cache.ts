import type { FloatDType, Shape, Tensor } from '../index.js';

/** What one layer keeps per token: keys and values, or a compressed latent (MLA). */
export interface CachePart {
  readonly name: string;
  /** Shape of one token's entry, e.g. [K, D]. */
  readonly shape: Shape;
}

export interface CacheLayerSpec {
  readonly parts: readonly CachePart[];
  /** Only the last `window` tokens are read. */
  readonly window?: number | undefined;
}

/** One entry per layer. */
export type CacheSpec = readonly CacheLayerSpec[];

/**
 * What a model sees of a KV cache during one step: where this step's rows are written, and the pages of each
 * sequence. Row p of sequence s lies at pageTable[s][⌊p / pageSize⌋] · pageSize + p mod pageSize.
 */
export interface CacheView {
  readonly pageSize: number;
  /** i32 [S, P]. */
  readonly pageTable: Tensor;
  /** i32 [S]: tokens of each sequence, those of this step included. */
  readonly lengths: Tensor;
  /** The whole cache of a part: [rows, ...shape]. */
  part(layer: number, name: string): Tensor;
  /** Stores this step's entries [N, ...shape]. */
  write(layer: number, name: string, entries: Tensor): void;
}

/** Memory for the keys and values of many sequences; see PagedKVCache in `@frugal/tensor-core/generation`. */
export interface KVCache {
  readonly spec: CacheSpec;
  readonly dtype: FloatDType;
  readonly freePages: number;
  /** Starts an empty sequence; returns its id. */
  open(): number;
  /** Tokens stored for a sequence. */
  length(sequence: number): number;
  /** Drops all tokens from `length` on: rejected drafts. */
  truncate(sequence: number, length: number): void;
  /** Gives the pages of a sequence back. */
  close(sequence: number): void;
  /** Makes room for `counts[i]` more tokens of `sequences[i]` and returns the view for that step. */
  extend(sequences: readonly number[], counts: readonly number[]): CacheView;
  dispose(): void;
}
