import type { Tensor } from '../index.js';
import type { EmbeddingLike } from './embedding.js';
import type { Model } from './model.js';
import type { StepBatch } from './step-batch.js';

/** `mean` of all tokens (sentence embeddings), the `first` token, or its `pooled` form: tanh of a trained layer. */
export type Pooling = 'mean' | 'first' | 'pooled';

export interface EncoderOutput {
  /** [N, C]. */
  readonly hidden: Tensor;
  /** One vector per text: [S, C]. */
  pool(kind: Pooling): Tensor;
  /** Class scores of each text: [S, classes]. @throws TypeError for models without a classifier */
  logits(): Tensor;
}

/** A model that reads whole texts and gives vectors or classes, and writes nothing. */
export interface Encoder extends Model {
  readonly vocabularySize: number;
  /** Longest text that the positions allow. */
  readonly contextLength: number;
  readonly embed: EmbeddingLike;
  /** How many classes it tells apart; null: it has no classifier. */
  readonly classes: number | null;
  /** `types` i32 [N]: 0 or 1, which text of a pair a token belongs to; default 0. */
  forward(batch: StepBatch, options?: { readonly types?: Tensor }): EncoderOutput;
}
