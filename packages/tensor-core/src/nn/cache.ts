import { type AttentionAttributes, type FloatDType, run, type Shape, type Tensor } from '../index.js';

/** How entries are stored: as floats, or `q8`: i8 codes with one f32 scale per vector (the last axis of an entry). */
export type CacheDType = FloatDType | 'q8';

/** All that a cache can be stored as. */
export const cacheDTypes = ['f32', 'bf16', 'f16', 'q8'] as const satisfies readonly CacheDType[];

/** What one layer keeps per token: keys and values, or a compressed latent (MLA). */
export interface CachePart {
  readonly name: string;
  /** Shape of one token's entry, e.g. [K, D]. */
  readonly shape: Shape;
  /** For a part that must be stored in another way than the rest of the cache. */
  readonly dtype?: CacheDType | undefined;
}

export interface CacheLayerSpec {
  readonly parts: readonly CachePart[];
  /** Only the last `window` tokens are read: the cache may forget the others. */
  readonly window?: number | undefined;
}

/** One entry per layer. */
export type CacheSpec = readonly CacheLayerSpec[];

/** All rows of a part: entries [rows, ...shape], or i8 codes of that shape with scales f32 [rows, ...shape but the last]. */
export interface StoredPart {
  readonly entries: Tensor;
  readonly scales?: Tensor | undefined;
}

/**
 * What a model sees of a KV cache during one step: where this step's rows are written, and the pages of each
 * sequence. Row p of sequence s lies at pageTable[s][⌊p / pageSize⌋] · pageSize + p mod pageSize.
 */
export interface CacheView {
  readonly pageSize: number;
  /** i32 [S, P] of a layer. Layers with a window may have forgotten pages before it: their entries mean nothing. */
  pageTable(layer: number): Tensor;
  /** i32 [S], for a layer: tokens of each sequence, those of this step included. */
  lengths(layer: number): Tensor;
  /** Every tensor that differs from step to step, always in the same order: what a replayed step is given anew. */
  readonly inputs: readonly Tensor[];
  part(layer: number, name: string): StoredPart;
  /** Stores this step's entries [N, ...shape] of any floating dtype. */
  write(layer: number, name: string, entries: Tensor): void;
}

/** Memory for the keys and values of many sequences; see PagedKVCache in `@frugal/tensor-core/generation`. */
export interface KVCache {
  readonly spec: CacheSpec;
  readonly dtype: CacheDType;
  /** Tokens that one more sequence can hold at least. */
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

/** Which parts of a layer attention reads. */
export interface CachedSource {
  readonly layer: number;
  /** Part [K, D] with the keys. */
  readonly key: string;
  /**
   * Part [K, Dv] with the values, or how many leading numbers of each key are its value: MLA in absorbed form keeps one
   * latent vector per token that is both (DeepSeek-V2, arXiv:2405.04434, section 2.1). No copy is made.
   */
  readonly value: string | number;
}

/**
 * Causal attention of this step's queries [N, H, D] over what the cache holds, this step's entries included (write them
 * first) → [N, H, Dv]. A row gets the same bits alone and in any batch, however its sequence was cut into steps and
 * wherever its pages lie.
 */
export function attendToCache(
  q: Tensor,
  cache: CacheView,
  { layer, key, value }: CachedSource,
  sequenceStarts: Tensor,
  attributes: Omit<AttentionAttributes, 'causal'>,
): Tensor {
  const keys = cache.part(layer, key);
  const values = typeof value === 'string' ? cache.part(layer, value) : leading(keys, value);
  const inputs = [
    q,
    keys.entries,
    values.entries,
    sequenceStarts,
    cache.pageTable(layer),
    cache.lengths(layer),
  ];
  if (keys.scales && values.scales) inputs.push(keys.scales, values.scales);
  return run('cachedAttention', inputs, { ...attributes, causal: true, pageSize: cache.pageSize });
}

function leading({ entries, scales }: StoredPart, size: number): StoredPart {
  return { entries: entries.slice(entries.rank - 1, 0, size), scales };
}
