import type { BalanceOptions, RoutingOptions } from '@frugal/moe';
import type { GateActivation } from '@frugal/tensor-core';
import type { RotaryEmbedding } from '@frugal/tensor-core/nn';

/** Multi-head attention with grouped key heads. */
export interface HeadsShape {
  readonly kind: 'heads';
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly bias: { readonly input: boolean; readonly output: boolean };
  /** null: this layer knows no positions. */
  readonly rotary: RotaryEmbedding | null;
  readonly window?: number | undefined;
  /** Default headSize^-0.5. */
  readonly scale?: number;
  readonly softCap?: number | undefined;
  /** Norms over each head's query and key. */
  readonly headNorms?: boolean;
  /** Whether a token sees those before it alone; default true. */
  readonly causal?: boolean;
}

/** Multi-head latent attention: keys and values from one compressed vector per token (DeepSeek-V2). */
export interface LatentShape {
  readonly kind: 'latent';
  readonly heads: number;
  /** Queries are compressed too, to this size; null: they are not. */
  readonly queryRank: number | null;
  readonly latentSize: number;
  /** Numbers per head of queries and keys without and with rotary position. */
  readonly plainSize: number;
  readonly rotarySize: number;
  readonly valueSize: number;
  readonly bias: boolean;
  readonly rotary: RotaryEmbedding;
  readonly scale: number;
  /** Of the norms of the compressed vectors. */
  readonly epsilon: number;
}

export interface DenseShape {
  readonly kind: 'dense';
  readonly size: number;
  readonly activation: GateActivation;
  readonly bias: boolean;
}

export interface MixtureShape {
  readonly kind: 'mixture';
  readonly experts: number;
  /** F of each expert. */
  readonly size: number;
  /** F of the shared experts together; 0: there are none. */
  readonly sharedSize: number;
  readonly sharedBias?: boolean;
  /** A gate decides how much of the shared experts a token gets (Qwen2-MoE). */
  readonly sharedGate?: boolean;
  readonly activation: GateActivation;
  readonly routing: RoutingOptions;
  /** A balancing bias in the router. */
  readonly selectionBias: boolean;
  readonly balance: BalanceOptions;
}

export interface BlockShape {
  readonly attention: HeadsShape | LatentShape;
  readonly mlp: DenseShape | MixtureShape;
  /** Norms of what attention and MLP add to the residual stream (Gemma). */
  readonly postNorms?: boolean;
}

/** What the config calls the sizes that compression changes. */
export interface ConfigNames {
  readonly feedForward: string;
  readonly experts: string;
  readonly expertSize: string;
}

/** A whole decoder, in numbers: what a family's config says. */
export interface DecoderShape {
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly contextLength: number;
  readonly epsilon: number;
  readonly tied: boolean;
  readonly blocks: readonly BlockShape[];
  /** Blocks that predict further tokens (DeepSeek-V3). */
  readonly predictionBlocks?: readonly BlockShape[];
  readonly normOffset?: 0 | 1;
  /** Multiplies the embeddings (Gemma). */
  readonly embeddingScale?: number;
  /** Logits become softCap · tanh(logit / softCap) (Gemma 2). */
  readonly logitSoftCap?: number | undefined;
  readonly configNames?: Partial<ConfigNames>;
}

export function configNamesOf({ configNames }: DecoderShape): ConfigNames {
  return {
    feedForward: 'intermediate_size',
    experts: 'num_experts',
    expertSize: 'moe_intermediate_size',
    ...configNames,
  };
}
