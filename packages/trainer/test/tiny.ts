import { type FloatDType, Random, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type BatchSource,
  Dropout,
  Embedding,
  Linear,
  Module,
  nextTokenBatch,
  nextTokenLoss,
  RMSNorm,
  type TrainBatch,
} from '@frugal/tensor-core/nn';
import type { Loss } from '../src/index.js';

export const vocabularySize = 11;

/** Predicts the next token from the last one: enough of a model to be trained in a millisecond. */
export class TinyModel extends Module {
  computeDType: FloatDType = 'f32';
  readonly embed: Embedding;
  readonly dropout: Dropout;
  readonly norm: RMSNorm;
  readonly head: Linear;

  constructor({ seed = 1, width = 6, dropout = 0, random = new Random(9) } = {}) {
    super();
    const initial = new Random(seed);
    this.embed = Embedding.init(vocabularySize, width, { random: initial, std: 1 });
    this.dropout = new Dropout(dropout, random);
    this.norm = RMSNorm.init(width, 1e-6);
    this.head = Linear.init(width, vocabularySize, { random: initial });
  }

  /** i32 [N] → [N, C]. */
  forward(tokens: Tensor): Tensor {
    return this.norm.forward(this.dropout.forward(this.embed.forward(tokens, this.computeDType)));
  }
}

export function tinyLoss(model: TinyModel): Loss<TrainBatch> {
  return ({ sequences, targets }) => {
    const tokens = tensor(Int32Array.from(sequences.flatMap((sequence) => [...sequence])));
    const sum = nextTokenLoss(model.forward(tokens), model.head, tensor(targets));
    return { sum, weight: targets.filter((target) => target !== -100).length, tokens: tokens.size };
  };
}

/** Sequences of different lengths in which each token is three more than the one before, with some noise. */
export class TinySource implements BatchSource {
  private position = 0;

  constructor(private readonly sequencesPerBatch = 3) {}

  next(): TrainBatch {
    const number = this.position++;
    const noise = (i: number) => (Math.imul(number * 31 + i, 2654435761) >>> 16) % 7;
    return nextTokenBatch(
      Array.from({ length: this.sequencesPerBatch }, (_, s) =>
        Int32Array.from(
          { length: 3 + ((number + s) % 4) },
          (_, i) => (3 * i + noise(s) + (noise(i) === 0 ? 1 : 0)) % vocabularySize,
        ),
      ),
    );
  }
  state(): unknown {
    return { position: this.position };
  }
  restore(state: unknown): void {
    this.position = (state as { position: number }).position;
  }
}
