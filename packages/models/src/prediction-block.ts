import { concat, type FloatDType, type Tensor } from '@frugal/tensor-core';
import {
  type Block,
  type EmbeddingLike,
  type LinearLike,
  Module,
  type RMSNorm,
  type StepContext,
} from '@frugal/tensor-core/nn';

export interface PredictionLayers {
  readonly tokenNorm: RMSNorm;
  readonly hiddenNorm: RMSNorm;
  /** 2 C → C. */
  readonly merge: LinearLike;
  readonly block: Block;
  readonly norm: RMSNorm;
}

/**
 * Predicts one token further (DeepSeek-V3's multi-token prediction, arXiv:2412.19437, §2.2): takes the hidden states of
 * the block before it (first: `Output.hidden`) and, as the batch's tokens, those that follow them, each one position
 * on. Its output goes through the model's own head.
 */
export class PredictionBlock extends Module implements Block {
  readonly tokenNorm: RMSNorm;
  readonly hiddenNorm: RMSNorm;
  readonly merge: LinearLike;
  readonly block: Block;
  readonly norm: RMSNorm;
  private readonly embed: () => EmbeddingLike;

  /** `embed` gives the model's own embedding, as it is now: edits may replace it. */
  constructor({ tokenNorm, hiddenNorm, merge, block, norm }: PredictionLayers, embed: () => EmbeddingLike) {
    super();
    this.tokenNorm = tokenNorm;
    this.hiddenNorm = hiddenNorm;
    this.merge = merge;
    this.block = block;
    this.norm = norm;
    this.embed = embed;
  }

  forward(hidden: Tensor, context: StepContext): Tensor {
    const { batch } = context;
    const token = this.tokenNorm.forward(this.embed().forward(batch.tokens, hidden.dtype as FloatDType));
    const merged = this.merge.forward(concat([token, this.hiddenNorm.forward(hidden)], 1), batch);
    return this.norm.forward(this.block.forward(merged, context));
  }
}
