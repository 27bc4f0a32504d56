import { compressWeights, parseRecipe } from '@frugal/compress';
import { forwardKL } from '@frugal/distill';
import { createEncoder, type EncoderModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { noGrad, PackedTensor, scope, tensor } from '@frugal/tensor-core';
import { modelBytes, PackedEmbedding, stepBatch } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import {
  type BatchLoss,
  classificationLoss,
  createOptimizer,
  type LabelBatch,
  muonWithAdamW,
  progressBar,
  schedules,
  train,
} from '@frugal/trainer';
import type { Case } from './split.js';

export interface Shape {
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly epochs: number;
  /** Peak rate of Muon. */
  readonly learningRate: number;
}

export interface TrainingOptions {
  readonly classes: number;
  readonly seed: number;
  readonly random: () => number;
  readonly precision: 'f32' | 'bf16';
}

/** Names of a step. */
const BATCH = 64;
/** Share of the tokens that a step covers up, so that no single one is relied on. */
const COVERED = 0.2;
const LONGEST = 64;

/** A batch with what the teacher thinks of it: scores [classes] of each text. */
interface TaughtBatch extends LabelBatch {
  readonly wanted: readonly Float32Array[];
}

/** Texts as the encoder sees them: the token whose output is pooled, then the name. */
function encodeCases(cases: readonly Case[], tokenizer: Tokenizer): Int32Array[] {
  return cases.map(({ text }) => tokenizer.encode(text, { addSpecialTokens: true }).slice(0, LONGEST));
}

/** Hugging Face's `BertForSequenceClassification` of this shape. */
export function newEncoder(
  { width, layers, heads }: Shape,
  vocabulary: number,
  classes: number,
  seed: number,
) {
  const config = {
    architectures: ['BertForSequenceClassification'],
    model_type: 'bert',
    hidden_size: width,
    intermediate_size: 4 * width,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    max_position_embeddings: LONGEST,
    num_labels: classes,
    vocab_size: vocabulary,
  };
  return createEncoder(config, { seed });
}

/** Trains on the labels, and with `teacher` also on what it says of each text (Hinton et al. 2015, arXiv:1503.02531). */
export async function trainEncoder(
  name: string,
  shape: Shape,
  cases: readonly Case[],
  tokenizer: Tokenizer,
  options: TrainingOptions & { readonly teacher?: readonly Float32Array[] },
): Promise<EncoderModel> {
  const { classes, seed, random, precision, teacher } = options;
  const model = newEncoder(shape, tokenizer.vocabularySize, classes, seed);
  const texts = encodeCases(cases, tokenizer);
  const steps = Math.ceil((shape.epochs * texts.length) / BATCH);
  const onLabels = classificationLoss(model);
  const bar = progressBar({ label: name.padEnd(8) });
  const events = train<TaughtBatch>({
    model,
    batches: new CaseBatches(cases, texts, tokenizer, random, teacher),
    loss: (batch) => (batch.wanted.length > 0 ? taughtLoss(model, batch) : onLabels(batch)),
    optimizer: createOptimizer(muonWithAdamW({ embeddingLearningRate: 0.5, dtype: precision })),
    schedule: schedules.linear({ peak: shape.learningRate, steps, warmup: Math.ceil(steps / 20) }),
    steps,
    clipNorm: 1,
    precision,
  });
  for await (const event of events) bar.update(event);
  bar.close();
  return model;
}

/** Temperature at which a teacher's scores are met. */
const SOFTNESS = 2;

function taughtLoss(model: EncoderModel, { sequences, wanted }: TaughtBatch): BatchLoss {
  const batch = stepBatch(sequences, { vocabularySize: model.vocabularySize, logits: 'last' });
  const scores = model.forward(batch).logits().cast('f32');
  const flat = Float32Array.from(wanted.flatMap((row) => [...row]));
  const losses = forwardKL.ofLogits?.(scores, tensor(flat, { shape: scores.shape }), SOFTNESS);
  if (!losses) throw new TypeError('The divergence does not take logits.');
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  return { sum: losses.sum().mul(SOFTNESS ** 2), weight: sequences.length, tokens };
}

/** Endless batches: every epoch in another order, with other tokens covered up. */
class CaseBatches {
  private order: number[] = [];
  private at = 0;
  constructor(
    private readonly cases: readonly Case[],
    private readonly texts: readonly Int32Array[],
    private readonly tokenizer: Tokenizer,
    private readonly random: () => number,
    private readonly teacher?: readonly Float32Array[],
  ) {}

  next(): TaughtBatch {
    const chosen = Array.from({ length: BATCH }, () => this.draw());
    return {
      sequences: chosen.map((i) => this.cover(this.texts[i])),
      labels: chosen.map((i) => this.cases[i].chapter),
      wanted: this.teacher ? chosen.map((i) => (this.teacher as readonly Float32Array[])[i]) : [],
    };
  }

  private draw(): number {
    if (this.at === this.order.length) {
      const keys = this.cases.map((_, i) => [this.random(), i]);
      this.order = keys.sort(([a], [b]) => a - b).map(([, i]) => i);
      this.at = 0;
    }
    return this.order[this.at++];
  }

  private cover(tokens: Int32Array): Int32Array {
    const mask = this.tokenizer.idOf(MASK) as number;
    return tokens.map((id, i) => (i > 0 && this.random() < COVERED ? mask : id));
  }

  state(): unknown {
    return this.at;
  }
  restore(): void {
    throw new Error('These runs are not resumed: they take minutes.');
  }
}

export const MASK = '[MASK]';

/** Class scores of each text. */
export async function scoreCases(
  model: EncoderModel,
  cases: readonly Case[],
  tokenizer: Tokenizer,
  batch = 128,
): Promise<Float32Array[]> {
  const texts = encodeCases(cases, tokenizer);
  const scores: Float32Array[] = [];
  for (let at = 0; at < texts.length; at += batch) {
    const part = texts.slice(at, at + batch);
    const logits = scope(() =>
      noGrad(() =>
        model
          .forward(stepBatch(part, { vocabularySize: model.vocabularySize, logits: 'last' }))
          .logits()
          .cast('f32'),
      ),
    );
    const [, classes] = logits.shape;
    const values = await logits.toFloat32();
    logits.dispose();
    for (let i = 0; i < part.length; i++) scores.push(values.slice(i * classes, (i + 1) * classes));
  }
  return scores;
}

/** Weights and activations of all layers, and the embedding, in 8 bits. Changes the model. @returns its bytes */
export async function toInt8(model: EncoderModel): Promise<number> {
  const int8 = {
    type: 'quant.rtn',
    targets: { include: ['blocks.**', 'pooler', 'classifier'] },
    format: 'int8-channel',
    activation: 'int8',
  };
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers: [int8] }] });
  await compressWeights(model, recipe, { methods: [roundToNearest] });
  const { embed } = model;
  const [table] = embed.parameters();
  const shape = [embed.vocabularySize, embed.size] as const;
  const packed = PackedTensor.pack('int8-channel', await table.value.toFloat32(), shape, table.value.backend);
  model.replace('embed', new PackedEmbedding(packed));
  return modelBytes(model);
}
