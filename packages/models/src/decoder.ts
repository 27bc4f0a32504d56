import { checkpointAll, type FloatDType, isRecording, type Tensor } from '@frugal/tensor-core';
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
    return attended.add(this.mlp.forward(this.mlpNorm.forward(attended), context));
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
      hidden =
        this.recompute && isRecording() ? recomputed(block, hidden, context) : block.forward(hidden, context);
      if (batch.collect?.has(`blocks.${i}.hidden`)) context.collected.set(`blocks.${i}.hidden`, hidden);
    }
    return this.finish(hidden, context);
  }

  begin(batch: StepBatch): { hidden: Tensor; context: StepContext } {
    const context: StepContext = { batch, shared: new Map(), collected: new Map(), losses: new Map() };
    this.options.rotary?.tables(context);
    return { hidden: this.embed.forward(batch.tokens, this.computeDType), context };
  }

  finish(hidden: Tensor, { batch, collected, losses }: StepContext): Output {
    const wanted = batch.logitRows.shape[0] === hidden.shape[0] ? hidden : hidden.gatherRows(batch.logitRows);
    const normalized = this.norm.forward(wanted);
    return { hidden: normalized, collected, losses, logits: () => this.head.forward(normalized, batch) };
  }
}

/** A block of which only the input is stored. What it reports beside its output leaves through the same door. */
function recomputed(block: Block, hidden: Tensor, context: StepContext): Tensor {
  const { losses, collected } = context;
  let names: { losses: string[]; collected: string[] } = { losses: [], collected: [] };
  const [output, ...reported] = checkpointAll((x) => {
    const own: StepContext = { ...context, losses: new Map(), collected: new Map() };
    const next = block.forward(x, own);
    names = { losses: [...own.losses.keys()], collected: [...own.collected.keys()] };
    return [next, ...own.losses.values(), ...own.collected.values()];
  }, hidden);
  names.losses.forEach((name, i) => void losses.set(name, reported[i]));
  names.collected.forEach((name, i) => void collected.set(name, reported[names.losses.length + i]));
  return output;
}
