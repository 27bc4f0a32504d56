import { attention, rope, type Tensor } from '../index.js';
import { attendToCache } from './cache.js';
import type { LinearLike } from './linear.js';
import type { StepContext } from './model.js';
import { Module } from './module.js';
import type { RMSNorm } from './norm.js';
import type { RotaryEmbedding } from './rotary.js';

export interface AttentionOptions {
  readonly query: LinearLike;
  readonly key: LinearLike;
  readonly value: LinearLike;
  readonly output: LinearLike;
  /** Index of the layer in the KV cache. */
  readonly layer: number;
  readonly headSize: number;
  /** null: no positions (or learned ones outside). */
  readonly rotary: RotaryEmbedding | null;
  /** Default headSize^-0.5. */
  readonly scale?: number;
  readonly causal?: boolean;
  readonly window?: number | undefined;
  readonly softCap?: number | undefined;
  /** Norms over each head's query and key (Qwen 3, Gemma 3). */
  readonly queryNorm?: RMSNorm | null;
  readonly keyNorm?: RMSNorm | null;
}

/** Multi-head attention with grouped key heads: [N, C] → [N, C]. Over the batch alone, or over its KV cache. */
export class Attention extends Module {
  readonly query: LinearLike;
  readonly key: LinearLike;
  readonly value: LinearLike;
  readonly output: LinearLike;
  readonly queryNorm: RMSNorm | null;
  readonly keyNorm: RMSNorm | null;
  private readonly options: AttentionOptions;

  constructor(options: AttentionOptions) {
    super();
    this.query = options.query;
    this.key = options.key;
    this.value = options.value;
    this.output = options.output;
    this.queryNorm = options.queryNorm ?? null;
    this.keyNorm = options.keyNorm ?? null;
    this.options = options;
  }

  forward(x: Tensor, context: StepContext): Tensor {
    const { batch } = context;
    // One after the other: backends that record steps compute products of the same rows together.
    const queries = this.heads(this.query.forward(x, batch)); // [N, H, D]
    const keys = this.heads(this.key.forward(x, batch)); // [N, K, D]
    const v = this.heads(this.value.forward(x, batch));
    const q = this.positioned(queries, this.queryNorm, context);
    const k = this.positioned(keys, this.keyNorm, context);
    const mixed = this.attend(q, k, v, context);
    return this.output.forward(mixed.reshape(x.shape[0], -1), batch);
  }

  private heads(x: Tensor): Tensor {
    return x.reshape(x.shape[0], -1, this.options.headSize);
  }

  private positioned(heads: Tensor, norm: RMSNorm | null, context: StepContext): Tensor {
    const normalized = norm ? norm.forward(heads) : heads;
    const { rotary } = this.options;
    if (!rotary) return normalized;
    const [cos, sin] = rotary.tables(context);
    return rope(normalized, cos, sin, { interleaved: rotary.interleaved });
  }

  private attend(q: Tensor, k: Tensor, v: Tensor, { batch }: StepContext): Tensor {
    const { layer, headSize, scale = headSize ** -0.5, causal = true, window, softCap } = this.options;
    const attributes = { scale, causal, window, softCap };
    const { cache, sequenceStarts } = batch;
    if (!cache) return attention(q, k, v, sequenceStarts, attributes);
    cache.write(layer, 'key', k);
    cache.write(layer, 'value', v);
    return attendToCache(q, cache, { layer, key: 'key', value: 'value' }, sequenceStarts, attributes);
  }
}
