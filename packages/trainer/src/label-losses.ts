import {
  crossEntropy,
  type FloatDType,
  type Random,
  type Tensor,
  tensor,
  withBackend,
} from '@frugal/tensor-core';
import { type CausalLM, Linear, Module, type StepBatch, stepBatch } from '@frugal/tensor-core/nn';
import { TrainerError } from './errors.js';
import { countTokens } from './losses.js';
import type { Loss } from './options.js';

/** Texts, each with a class (whole number from 0) or with numbers to be predicted. */
export interface LabelBatch<Label = number> {
  readonly sequences: readonly Int32Array[];
  readonly labels: readonly Label[];
}

/** A model with one row of scores per text: [S, classes]. An encoder with a classifier is one, {@link TextClassifier} another. */
export interface TextScorer {
  readonly vocabularySize: number;
  forward(batch: StepBatch): { logits(): Tensor };
}

/** Cross-entropy of the classes in nats, one item per text. @throws TrainerError for labels that are no class */
export function classificationLoss(model: TextScorer): Loss<LabelBatch> {
  return ({ sequences, labels }) => {
    const scores = scoresOf(model, sequences, labels.length);
    const classes = scores.shape[1];
    const wrong = labels.find((label) => !(Number.isInteger(label) && label >= 0 && label < classes));
    if (wrong !== undefined) {
      throw new TrainerError({
        where: 'classificationLoss',
        what: 'a label is no class of the model',
        got: String(wrong),
        expected: `0 to ${classes - 1}`,
      });
    }
    const sum = crossEntropy(scores.cast('f32'), tensor(Int32Array.from(labels))).sum();
    return { sum, weight: labels.length, tokens: countTokens(sequences) };
  };
}

/** Mean squared error over the numbers of each text. @throws TrainerError when they are not as many as the scores */
export function regressionLoss(model: TextScorer): Loss<LabelBatch<number | readonly number[]>> {
  return ({ sequences, labels }) => {
    const scores = scoresOf(model, sequences, labels.length);
    const rows = labels.map((label) => (typeof label === 'number' ? [label] : label));
    const wrong = rows.find((row) => row.length !== scores.shape[1]);
    if (wrong) {
      throw new TrainerError({
        where: 'regressionLoss',
        what: 'a label has another length than the scores of the model',
        got: String(wrong.length),
        expected: String(scores.shape[1]),
      });
    }
    const difference = scores
      .cast('f32')
      .sub(tensor(Float32Array.from(rows.flat()), { shape: scores.shape }));
    const sum = difference
      .mul(difference)
      .sum()
      .mul(1 / scores.shape[1]);
    return { sum, weight: labels.length, tokens: countTokens(sequences) };
  };
}

function scoresOf(model: TextScorer, sequences: readonly Int32Array[], labels: number): Tensor {
  if (sequences.length === labels && labels > 0) {
    return model
      .forward(stepBatch(sequences, { vocabularySize: model.vocabularySize, logits: 'last' }))
      .logits();
  }
  throw new TrainerError({
    where: 'batch',
    what: 'each text needs one label',
    got: `${sequences.length} texts and ${labels} labels`,
  });
}

export interface TextClassifierOptions {
  /** Classes, or numbers to predict. */
  readonly outputs: number;
  readonly random: Random;
}

/** A head over the last token of a causal model, in place of its own: the layout of `…ForSequenceClassification`. */
export class TextClassifier extends Module implements TextScorer {
  readonly score: Linear;

  constructor(
    readonly model: CausalLM,
    { outputs, random }: TextClassifierOptions,
  ) {
    super();
    const { backend } = model.parameters()[0].value;
    this.score = withBackend(backend, () => Linear.init(model.embed.size, outputs, { random }));
  }

  get vocabularySize(): number {
    return this.model.vocabularySize;
  }
  get computeDType(): FloatDType {
    return this.model.computeDType;
  }
  set computeDType(dtype: FloatDType) {
    this.model.computeDType = dtype;
  }

  /** `batch` must ask for the last row of each text. */
  forward(batch: StepBatch): { logits(): Tensor } {
    const { hidden } = this.model.forward(batch); // [S, C]
    return { logits: () => this.score.forward(hidden) };
  }
}
