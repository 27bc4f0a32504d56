import { checkpoint, type FloatDType, isRecording, type Tensor } from '@frugal/tensor-core';
import {
  type Attention,
  type Block,
  type CacheSpec,
  type CausalLM,
  type Coupling,
  type EmbeddingLike,
  type GatedMLP,
  type LinearLike,
  type ModelConfig,
  Module,
  type NormGroup,
  type Output,
  type RMSNorm,
  type RotaryEmbedding,
  type StepBatch,
  type StepContext,
  type Tie,
} from '@frugal/tensor-core/nn';

/** Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)). */
export class DecoderBlock extends Module implements Block {
  constructor(
    readonly attentionNorm: RMSNorm,
    readonly attention: Attention,
    readonly mlpNorm: RMSNorm,
    readonly mlp: GatedMLP,
  ) {
    super();
  }

  forward(hidden: Tensor, context: StepContext): Tensor {
    const attended = hidden.add(this.attention.forward(this.attentionNorm.forward(hidden), context));
    return attended.add(this.mlp.forward(this.mlpNorm.forward(attended), context.batch));
  }
}

/** What differs between two decoders of the same structure. */
export interface DecoderOptions {
  readonly config: ModelConfig;
  readonly contextLength: number;
  readonly cacheSpec: CacheSpec;
  readonly rotary: RotaryEmbedding | null;
  readonly ties: readonly Tie[];
  readonly couplings: readonly Coupling[];
  readonly computeDType?: FloatDType;
}

/** Embedding, a stack of blocks, a final norm and a head: the shape of Llama and its relatives. */
export class DecoderModel extends Module implements CausalLM {
  readonly extraBlocks: readonly Block[] = [];
  computeDType: FloatDType;
  /** Store only block inputs while training and compute blocks again backward: less memory, a third more work. */
  recompute = false;
  config: ModelConfig;
  private readonly options: DecoderOptions;

  constructor(
    readonly embed: EmbeddingLike,
    readonly blocks: DecoderBlock[],
    readonly norm: RMSNorm,
    readonly head: LinearLike,
    options: DecoderOptions,
  ) {
    super();
    this.options = options;
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
    return this.blocks.flatMap((_, i) => [
      {
        norm: `blocks.${i}.attentionNorm`,
        consumers: ['query', 'key', 'value'].map((name) => `blocks.${i}.attention.${name}`),
      },
      { norm: `blocks.${i}.mlpNorm`, consumers: ['gate', 'up'].map((name) => `blocks.${i}.mlp.${name}`) },
    ]);
  }

  forward(batch: StepBatch): Output {
    let { hidden, context } = this.begin(batch);
    for (const [i, block] of this.blocks.entries()) {
      const recompute = this.recompute && isRecording();
      hidden = recompute
        ? checkpoint((x) => block.forward(x, context), hidden)
        : block.forward(hidden, context);
      if (batch.collect?.has(`blocks.${i}.hidden`)) context.collected.set(`blocks.${i}.hidden`, hidden);
    }
    return this.finish(hidden, context);
  }

  begin(batch: StepBatch): { hidden: Tensor; context: StepContext } {
    const context: StepContext = { batch, shared: new Map(), collected: new Map() };
    this.options.rotary?.tables(context);
    return { hidden: this.embed.forward(batch.tokens, this.computeDType), context };
  }

  finish(hidden: Tensor, { batch, collected }: StepContext): Output {
    const wanted = batch.logitRows.shape[0] === hidden.shape[0] ? hidden : hidden.gatherRows(batch.logitRows);
    const normalized = this.norm.forward(wanted);
    return { hidden: normalized, collected, logits: () => this.head.forward(normalized, batch) };
  }
}
