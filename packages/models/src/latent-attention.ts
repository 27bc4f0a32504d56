import { attention, concat, rope, type Tensor } from '@frugal/tensor-core';
import {
  attendToCache,
  type LinearLike,
  Module,
  type RMSNorm,
  type RotaryEmbedding,
  type StepContext,
} from '@frugal/tensor-core/nn';
import type { LatentShape } from './decoder-shape.js';

/** Queries: one projection, or a compressed one with its norm and its expansion. */
export type LatentQuery =
  | { readonly query: LinearLike }
  | { readonly queryDown: LinearLike; readonly queryNorm: RMSNorm; readonly queryUp: LinearLike };

export interface LatentLayers {
  readonly query: LatentQuery;
  /** C → R + Dr: the compressed keys and values, and the one rotary key that all heads share. */
  readonly latentDown: LinearLike;
  readonly latentNorm: RMSNorm;
  /** R → H · (Dn + Dv): each head's plain key, then its value. */
  readonly latentUp: LinearLike;
  readonly output: LinearLike;
}

/**
 * Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, §2.1): [N, C] → [N, C]. Two forms with equal results.
 * Without a cache keys and values are expanded. With a cache only the latent vector of each token is kept, R + Dr
 * numbers for all heads together: the expansion of keys moves into the query, that of values behind the attention.
 * Letters: H heads, R latent size, Dn, Dr and Dv sizes of a head's plain part, rotary part and value.
 */
export class LatentAttention extends Module {
  readonly query: LinearLike | null;
  readonly queryDown: LinearLike | null;
  readonly queryNorm: RMSNorm | null;
  readonly queryUp: LinearLike | null;
  readonly latentDown: LinearLike;
  readonly latentNorm: RMSNorm;
  readonly latentUp: LinearLike;
  readonly output: LinearLike;
  private readonly shape: LatentShape;

  constructor(
    { query, latentDown, latentNorm, latentUp, output }: LatentLayers,
    shape: LatentShape,
    private readonly layer: number,
  ) {
    super();
    const parts = { query: null, queryDown: null, queryNorm: null, queryUp: null, ...query };
    this.query = parts.query;
    this.queryDown = parts.queryDown;
    this.queryNorm = parts.queryNorm;
    this.queryUp = parts.queryUp;
    this.latentDown = latentDown;
    this.latentNorm = latentNorm;
    this.latentUp = latentUp;
    this.output = output;
    this.shape = shape;
  }

  forward(x: Tensor, context: StepContext): Tensor {
    const { batch } = context;
    const { heads, plainSize, rotarySize, latentSize } = this.shape;
    const N = x.shape[0];
    const query = this.queries(x, context).reshape(N, heads, plainSize + rotarySize);
    const queryPlain = query.slice(2, 0, plainSize); // [N, H, Dn]
    const queryRotary = this.rotate(query.slice(2, plainSize, plainSize + rotarySize), context); // [N, H, Dr]
    const down = this.latentDown.forward(x, batch);
    const latent = this.latentNorm.forward(down.slice(1, 0, latentSize)); // [N, R]
    const keyRotary = this.rotate(
      down.slice(1, latentSize, latentSize + rotarySize).reshape(N, 1, rotarySize),
      context,
    ); // [N, 1, Dr]
    const mixed = batch.cache
      ? this.absorbed(queryPlain, queryRotary, latent, keyRotary, context)
      : this.expanded(queryPlain, queryRotary, latent, keyRotary, context);
    return this.output.forward(mixed, batch);
  }

  private queries(x: Tensor, { batch }: StepContext): Tensor {
    if (this.query) return this.query.forward(x, batch);
    const [down, norm, up] = [this.queryDown, this.queryNorm, this.queryUp] as [
      LinearLike,
      RMSNorm,
      LinearLike,
    ];
    return up.forward(norm.forward(down.forward(x, batch)), batch);
  }

  private rotate(heads: Tensor, context: StepContext): Tensor {
    const rotary: RotaryEmbedding = this.shape.rotary;
    const [cos, sin] = rotary.tables(context);
    return rope(heads, cos, sin, { interleaved: rotary.interleaved });
  }

  private expanded(
    queryPlain: Tensor,
    queryRotary: Tensor,
    latent: Tensor,
    keyRotary: Tensor,
    { batch }: StepContext,
  ): Tensor {
    const { heads, plainSize, rotarySize, valueSize, scale } = this.shape;
    const N = latent.shape[0];
    const both = this.latentUp.forward(latent, batch).reshape(N, heads, plainSize + valueSize);
    const keys = concat([both.slice(2, 0, plainSize), keyRotary.expand(N, heads, rotarySize)], 2);
    const values = both.slice(2, plainSize, plainSize + valueSize);
    const queries = concat([queryPlain, queryRotary], 2);
    const attributes = { scale, causal: true };
    return attention(queries, keys, values, batch.sequenceStarts, attributes).reshape(N, heads * valueSize);
  }

  private absorbed(
    queryPlain: Tensor,
    queryRotary: Tensor,
    latent: Tensor,
    keyRotary: Tensor,
    { batch }: StepContext,
  ): Tensor {
    const { heads, plainSize, valueSize, latentSize, scale } = this.shape;
    const { layer } = this;
    const N = latent.shape[0];
    const cache = batch.cache as NonNullable<typeof batch.cache>;
    cache.write(layer, 'latent', concat([latent.reshape(N, 1, latentSize), keyRotary], 2)); // [N, 1, R + Dr]
    const up = this.latentUp
      .effectiveWeight()
      .cast(latent.dtype)
      .reshape(heads, plainSize + valueSize, latentSize);
    const keyUp = up.slice(1, 0, plainSize); // [H, Dn, R]
    const valueUp = up.slice(1, plainSize, plainSize + valueSize); // [H, Dv, R]
    const inLatent = queryPlain.permute(1, 0, 2).matmul(keyUp).permute(1, 0, 2); // [N, H, R]
    const queries = concat([inLatent, queryRotary], 2); // [N, H, R + Dr]
    const source = { layer, key: 'latent', value: latentSize };
    const mixed = attendToCache(queries, cache, source, batch.sequenceStarts, { scale }); // [N, H, R]
    const values = mixed.permute(1, 0, 2).matmul(valueUp.transpose()); // [H, N, Dv]
    return values.permute(1, 0, 2).reshape(N, heads * valueSize);
  }
}
