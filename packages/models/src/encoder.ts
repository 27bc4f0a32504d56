import {
  type FloatDType,
  type GateActivation,
  scatterAddRows,
  type Tensor,
  zeros,
} from '@frugal/tensor-core';
import {
  type Attention,
  type Block,
  type Coupling,
  type EmbeddingLike,
  type Encoder,
  type EncoderOutput,
  forwardInto,
  type LayerNorm,
  type LinearLike,
  type ModelConfig,
  Module,
  type NormGroup,
  type Pooling,
  runBlocks,
  type StepBatch,
  type StepContext,
  type Tie,
} from '@frugal/tensor-core/nn';

/** down(activation(up(x))): [N, C] → [N, C]. */
export class PlainMLP extends Module {
  constructor(
    readonly up: LinearLike,
    readonly down: LinearLike,
    readonly activation: GateActivation,
  ) {
    super();
  }

  forward(x: Tensor, { batch }: StepContext): Tensor {
    return this.down.forward(forwardInto(this.up, x, { activation: this.activation }, batch), batch);
  }
}

/** Post-norm transformer block (Vaswani et al. 2017): norm(x + attention(x)), then norm(x + mlp(x)). */
export class EncoderBlock extends Module implements Block {
  constructor(
    readonly attention: Attention,
    readonly attentionNorm: LayerNorm,
    readonly mlp: PlainMLP,
    readonly mlpNorm: LayerNorm,
  ) {
    super();
  }

  forward(hidden: Tensor, context: StepContext): Tensor {
    const attended = this.attentionNorm.forward(hidden.add(this.attention.forward(hidden, context)));
    return this.mlpNorm.forward(attended.add(this.mlp.forward(attended, context)));
  }
}

export interface EncoderEmbeddings {
  readonly embed: EmbeddingLike;
  readonly positionEmbed: EmbeddingLike;
  /** First and second text of a pair. */
  readonly typeEmbed: EmbeddingLike;
  readonly embedNorm: LayerNorm;
}

export interface EncoderOptions {
  readonly config: ModelConfig;
  readonly contextLength: number;
  readonly couplings: readonly Coupling[];
  readonly normGroups: readonly NormGroup[];
}

/** A bidirectional encoder (BERT, MiniLM): every token of a text sees every other one. */
export class EncoderModel extends Module implements Encoder {
  readonly embed: EmbeddingLike;
  readonly positionEmbed: EmbeddingLike;
  readonly typeEmbed: EmbeddingLike;
  readonly embedNorm: LayerNorm;
  readonly ties: readonly Tie[] = [];
  computeDType: FloatDType = 'f32';
  config: ModelConfig;
  private readonly options: EncoderOptions;

  constructor(
    embeddings: EncoderEmbeddings,
    readonly blocks: EncoderBlock[],
    readonly pooler: LinearLike | null,
    readonly classifier: LinearLike | null,
    options: EncoderOptions,
  ) {
    super();
    this.embed = embeddings.embed;
    this.positionEmbed = embeddings.positionEmbed;
    this.typeEmbed = embeddings.typeEmbed;
    this.embedNorm = embeddings.embedNorm;
    this.options = options;
    this.config = options.config;
  }

  get vocabularySize(): number {
    return this.embed.vocabularySize;
  }
  get contextLength(): number {
    return this.options.contextLength;
  }
  get classes(): number | null {
    return this.classifier?.outFeatures ?? null;
  }
  couplings(): readonly Coupling[] {
    return this.options.couplings;
  }
  normGroups(): readonly NormGroup[] {
    return this.options.normGroups;
  }

  /** `types` i32 [N]: 0 or 1, which text of a pair a token belongs to; default 0. */
  forward(batch: StepBatch, { types }: { readonly types?: Tensor } = {}): EncoderOutput {
    const { hidden, context } = this.begin(batch, types);
    return this.finish(runBlocks(this.blocks, hidden, context), context);
  }

  /** The same in steps, for whoever walks block by block. */
  begin(batch: StepBatch, types?: Tensor): { hidden: Tensor; context: StepContext } {
    const { tokens, positions } = batch;
    const context: StepContext = {
      batch,
      shared: new Map(),
      collected: new Map(),
      losses: new Map(),
      checks: new Map(),
    };
    const kinds = types ?? zeros(tokens.shape, { dtype: 'i32', backend: tokens.backend });
    const sum = this.embed
      .forward(tokens, this.computeDType)
      .add(this.positionEmbed.forward(positions, this.computeDType))
      .add(this.typeEmbed.forward(kinds, this.computeDType));
    return { hidden: this.embedNorm.forward(sum), context };
  }

  finish(hidden: Tensor, { batch }: StepContext): EncoderOutput {
    const pool = (kind: Pooling) => this.pool(hidden, batch, kind);
    return {
      hidden,
      pool,
      logits: () => {
        if (!this.classifier) throw new TypeError('This encoder has no classifier: use pool().');
        return this.classifier.forward(pool('pooled'), batch);
      },
    };
  }

  private pool(hidden: Tensor, { sequenceStarts }: StepBatch, kind: Pooling): Tensor {
    const S = sequenceStarts.shape[0] - 1;
    const starts = sequenceStarts.slice(0, 0, S);
    if (kind === 'mean') return meanOfSequences(hidden, sequenceStarts);
    const first = hidden.gatherRows(starts);
    if (kind === 'first') return first;
    if (!this.pooler) throw new TypeError("This encoder has no pooling layer: use pool('mean').");
    return this.pooler.forward(first).tanh();
  }
}

/** [N, C] → [S, C], summed in f32. */
function meanOfSequences(hidden: Tensor, starts: Tensor): Tensor {
  const S = starts.shape[0] - 1;
  const [N] = hidden.shape;
  const { backend } = hidden;
  // Sequence of each row: how many sequences have started before it.
  const ones = zeros([S], { dtype: 'f32', backend }).add(1);
  const begun = scatterAddRows(starts.slice(0, 0, S), ones, N).cumulativeSum();
  const sums = scatterAddRows(begun.sub(1).cast('i32'), hidden.cast('f32'), S);
  const lengths = starts
    .slice(0, 1, S + 1)
    .sub(starts.slice(0, 0, S))
    .cast('f32');
  return sums.div(lengths.reshape(S, 1)).cast(hidden.dtype);
}
