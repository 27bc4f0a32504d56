import type { FloatDType, PackedTensor, Random, Tensor } from '../index.js';
import { keep, scope } from '../index.js';
import { Module, Parameter } from './module.js';

/** Token ids → vectors; dense or packed. */
export interface EmbeddingLike extends Module {
  readonly vocabularySize: number;
  readonly size: number;
  /** i32 [N] → [N, size] in the given dtype. */
  forward(tokens: Tensor, dtype: FloatDType): Tensor;
}

export class Embedding extends Module implements EmbeddingLike {
  readonly weight: Parameter;

  constructor(weight: Tensor | Parameter) {
    super();
    this.weight = weight instanceof Parameter ? weight : new Parameter(weight);
  }

  static init(
    vocabularySize: number,
    size: number,
    { random, std = 0.02 }: { random: Random; std?: number },
  ): Embedding {
    return new Embedding(scope(() => random.normal([vocabularySize, size]).mul(std)));
  }

  get vocabularySize(): number {
    return this.weight.shape[0];
  }
  get size(): number {
    return this.weight.shape[1];
  }
  forward(tokens: Tensor, dtype: FloatDType): Tensor {
    return this.weight.value.gatherRows(tokens).cast(dtype);
  }
}

export class PackedEmbedding extends Module implements EmbeddingLike {
  constructor(readonly weight: PackedTensor) {
    super();
    keep(weight);
  }
  get vocabularySize(): number {
    return this.weight.shape[0];
  }
  get size(): number {
    return this.weight.shape[1];
  }
  forward(tokens: Tensor, dtype: FloatDType): Tensor {
    return this.weight.gather(tokens).cast(dtype);
  }
  override dispose(): void {
    this.weight.dispose();
  }
}
