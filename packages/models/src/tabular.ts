import { concat, type FloatDType, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type Block,
  type Coupling,
  Embedding,
  type GatedMLP,
  type LinearLike,
  type Model,
  type ModelConfig,
  Module,
  type NormGroup,
  Parameter,
  type RMSNorm,
  runBlocks,
  type StepBatch,
  type StepContext,
  type Tie,
} from '@frugal/tensor-core/nn';

/** Rows of a table: f32 [B, numeric features] (scaled to about 1) and i32 [B, categorical features]. */
export interface TabularBatch {
  readonly numeric: Tensor;
  readonly categorical: Tensor;
}

/**
 * Turns each feature of a row into a vector: value · weight + bias for numbers, a table entry + bias for categories
 * (Gorishniy et al. 2021, arXiv:2106.11959, §3.3).
 */
export class FeatureEmbedding extends Module {
  /** [features, C]. */
  readonly weight: Parameter;
  /** [numeric + categorical features, C]. */
  readonly bias: Parameter;
  /** Entries of all categorical features, one feature after the other. */
  readonly categories: Embedding;

  constructor(
    weight: Tensor,
    bias: Tensor,
    categories: Tensor,
    /** How many categories each categorical feature has. */
    readonly sizes: readonly number[],
  ) {
    super();
    this.weight = new Parameter(weight);
    this.bias = new Parameter(bias);
    this.categories = new Embedding(categories);
  }

  /** → [B, features, C]. */
  forward({ numeric, categorical }: TabularBatch, dtype: FloatDType): Tensor {
    const [B, count] = numeric.shape;
    const parts: Tensor[] = [];
    if (count > 0) parts.push(numeric.cast(dtype).reshape(B, count, 1).mul(this.weight.value.cast(dtype)));
    if (this.sizes.length > 0) {
      let first = 0;
      const firsts = this.sizes.map((size) => {
        first += size;
        return first - size;
      });
      const rows = categorical.add(tensor(Int32Array.from(firsts), { backend: categorical.backend }));
      parts.push(this.categories.forward(rows, dtype));
    }
    return concat(parts, 1).add(this.bias.value.cast(dtype));
  }
}

/** x + mlp(norm(x)). */
export class ResidualMLP extends Module implements Block {
  constructor(
    readonly mlpNorm: RMSNorm,
    readonly mlp: GatedMLP,
  ) {
    super();
  }

  forward(hidden: Tensor, context: StepContext): Tensor {
    return hidden.add(this.mlp.forward(this.mlpNorm.forward(hidden), context));
  }
}

export interface TabularOptions {
  readonly config: ModelConfig;
  readonly couplings: readonly Coupling[];
  readonly normGroups: readonly NormGroup[];
}

/** A model of tables: an FT-Transformer, or a residual MLP over all features at once. */
export class TabularModel extends Module implements Model {
  readonly ties: readonly Tie[] = [];
  computeDType: FloatDType = 'f32';
  config: ModelConfig;
  private readonly options: TabularOptions;

  constructor(
    readonly features: FeatureEmbedding,
    /** The vector in front of the features [1, C] of a transformer, or what joins them [features · C → C] in an MLP. */
    readonly entry: Parameter | LinearLike,
    readonly blocks: Block[],
    readonly norm: RMSNorm,
    readonly head: LinearLike,
    options: TabularOptions,
  ) {
    super();
    this.options = options;
    this.config = options.config;
  }

  couplings(): readonly Coupling[] {
    return this.options.couplings;
  }
  normGroups(): readonly NormGroup[] {
    return this.options.normGroups;
  }

  /** → [B, outputs]: class scores, or values. */
  forward(batch: TabularBatch): Tensor {
    const { hidden, context } = this.begin(batch);
    return this.finish(runBlocks(this.blocks, hidden, context), context);
  }

  /** The same in steps, for whoever walks block by block. */
  begin(batch: TabularBatch): { hidden: Tensor; context: StepContext } {
    const features = this.features.forward(batch, this.computeDType);
    const [B, F, C] = features.shape;
    const { entry } = this;
    if (!(entry instanceof Parameter))
      return { hidden: entry.forward(features.reshape(B, F * C)), context: contextOf(B, 1, features) };
    const summary = entry.value.cast(features.dtype).reshape(1, 1, C).expand(B, 1, C);
    const hidden = concat([summary, features], 1).reshape(B * (F + 1), C);
    return { hidden, context: contextOf(B, F + 1, features) };
  }

  finish(hidden: Tensor, { batch }: StepContext): Tensor {
    const { sequenceStarts } = batch;
    const S = sequenceStarts.shape[0] - 1;
    const rows = hidden.shape[0] === S ? hidden : hidden.gatherRows(sequenceStarts.slice(0, 0, S));
    return this.head.forward(this.norm.forward(rows), batch);
  }
}

/** Every row of the table is a sequence of `length` tokens. */
function contextOf(rows: number, length: number, { backend }: Tensor): StepContext {
  const integers = (count: number, value: (i: number) => number) =>
    tensor(
      Int32Array.from({ length: count }, (_, i) => value(i)),
      { backend },
    );
  const N = rows * length;
  const batch: StepBatch = {
    tokens: integers(N, () => 0),
    positions: integers(N, (i) => i % length),
    sequenceStarts: integers(rows + 1, (i) => i * length),
    logitRows: integers(rows, (i) => i * length),
  };
  return { batch, shared: new Map(), collected: new Map(), losses: new Map(), checks: new Map() };
}
