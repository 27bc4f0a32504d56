import { type Backend, type FloatDType, type Recompute, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type Block,
  type CacheDType,
  type CacheSpec,
  type CausalLM,
  type Coupling,
  type EmbeddingLike,
  type LogitHead,
  type ModelConfig,
  Module,
  type NormGroup,
  type Output,
  type RMSNorm,
  type RotaryEmbedding,
  runBlocks,
  type StepBatch,
  type StepContext,
  type Tie,
} from '@frugal/tensor-core/nn';

/** Attention of any kind: hidden states [N, C] → [N, C]. */
export interface AttentionLike extends Module {
  forward(x: Tensor, context: StepContext): Tensor;
}

/** Feed-forward layer of any kind, dense or a mixture of experts: [N, C] → [N, C]. */
export interface FeedForward extends Module {
  forward(x: Tensor, context: StepContext): Tensor;
}

export interface DecoderBlockParts {
  readonly attentionNorm: RMSNorm;
  readonly attention: AttentionLike;
  /** Norms of what attention and MLP add to the residual stream. */
  readonly attentionPostNorm?: RMSNorm | null;
  readonly mlpNorm: RMSNorm;
  readonly mlp: FeedForward;
  readonly mlpPostNorm?: RMSNorm | null;
}

/** Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)); norms behind them where the family has some. */
export class DecoderBlock extends Module implements Block {
  readonly attentionNorm: RMSNorm;
  readonly attention: AttentionLike;
  readonly attentionPostNorm: RMSNorm | null;
  readonly mlpNorm: RMSNorm;
  readonly mlp: FeedForward;
  readonly mlpPostNorm: RMSNorm | null;

  constructor(parts: DecoderBlockParts) {
    super();
    this.attentionNorm = parts.attentionNorm;
    this.attention = parts.attention;
    this.attentionPostNorm = parts.attentionPostNorm ?? null;
    this.mlpNorm = parts.mlpNorm;
    this.mlp = parts.mlp;
    this.mlpPostNorm = parts.mlpPostNorm ?? null;
  }

  forward(hidden: Tensor, context: StepContext): Tensor {
    const attention = this.attention.forward(this.attentionNorm.forward(hidden), context);
    const added = this.attentionPostNorm?.forward(attention) ?? attention;
    const { sum, normalized } = this.mlpNorm.addForward(hidden, added);
    const mlp = this.mlp.forward(normalized, context);
    return sum.add(this.mlpPostNorm?.forward(mlp) ?? mlp);
  }
}

/** What differs between two decoders of the same structure. */
export interface DecoderOptions {
  readonly config: ModelConfig;
  readonly contextLength: number;
  readonly cacheSpec: CacheSpec;
  /** Tables that the blocks share, made once per step. */
  readonly rotaries: readonly RotaryEmbedding[];
  readonly ties: readonly Tie[];
  readonly couplings: readonly Coupling[];
  readonly normGroups: readonly NormGroup[];
  /** Multiplies the embeddings. */
  readonly embeddingScale?: number | undefined;
  readonly extraBlocks?: readonly Block[];
  readonly computeDType?: FloatDType;
}

/** Embedding, a stack of blocks, a final norm and a head: the shape of Llama and its relatives. */
export class DecoderModel extends Module implements CausalLM {
  readonly extraBlocks: readonly Block[];
  computeDType: FloatDType;
  cacheDType?: CacheDType;
  placement?: readonly Backend[] | undefined;
  /** Store only block inputs while training and compute blocks again backward: less memory, a third more work. */
  recompute: Recompute = false;
  config: ModelConfig;
  private readonly options: DecoderOptions;

  constructor(
    readonly embed: EmbeddingLike,
    readonly blocks: DecoderBlock[],
    readonly norm: RMSNorm,
    readonly head: LogitHead,
    options: DecoderOptions,
  ) {
    super();
    this.options = options;
    this.extraBlocks = options.extraBlocks ?? [];
    this.config = options.config;
    this.computeDType = options.computeDType ?? 'f32';
  }

  get ties(): readonly Tie[] {
    return this.options.ties;
  }
  get contextLength(): number {
    return this.options.contextLength;
  }
  get cacheSpec(): CacheSpec {
    return this.options.cacheSpec;
  }
  get vocabularySize(): number {
    return this.embed.vocabularySize;
  }

  couplings(): readonly Coupling[] {
    return this.options.couplings;
  }

  normGroups(): readonly NormGroup[] {
    return this.options.normGroups;
  }

  forward(batch: StepBatch): Output {
    const { hidden, context } = this.begin(batch);
    const { blocks, recompute, placement } = this;
    return this.finish(runBlocks(blocks, hidden, context, { recompute, placement }), context);
  }

  begin(batch: StepBatch): { hidden: Tensor; context: StepContext } {
    const context: StepContext = {
      batch,
      shared: new Map(),
      collected: new Map(),
      losses: new Map(),
      checks: new Map(),
    };
    for (const rotary of this.options.rotaries) rotary.tables(context);
    const hidden = this.embed.forward(batch.tokens, this.computeDType);
    return { hidden: this.scaled(hidden), context };
  }

  /** The scale is rounded to the dtype of the activations first, as in the models that have one. */
  private scaled(hidden: Tensor): Tensor {
    const { embeddingScale } = this.options;
    if (embeddingScale === undefined) return hidden;
    const { backend, dtype } = hidden;
    return hidden.mul(tensor(embeddingScale, { dtype, backend }));
  }

  finish(hidden: Tensor, { batch, collected, losses, checks }: StepContext): Output {
    const wanted = batch.logitRows.shape[0] === hidden.shape[0] ? hidden : hidden.gatherRows(batch.logitRows);
    const normalized = this.norm.forward(wanted);
    // The head sees the wanted rows alone, and needs their adapters.
    const adapterOfRow =
      wanted === hidden ? batch.adapterOfRow : batch.adapterOfRow?.gatherRows(batch.logitRows);
    return {
      hidden: normalized,
      collected,
      losses,
      checks,
      logits: () => this.head.forward(normalized, { adapterOfRow }),
    };
  }
}
