import { compressWeights, parseRecipe } from '@frugal/compress';
import { createTabular, type TabularBatch, type TabularModel } from '@frugal/models';
import { magnitude } from '@frugal/prune';
import { roundToNearest } from '@frugal/quant';
import { crossEntropy, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear, Module } from '@frugal/tensor-core/nn';
import { AdamW, schedules, train } from '@frugal/trainer';

/** Scaled readings [rows, sensors] and labels. */
export interface Rows {
  readonly readings: readonly Float32Array[];
  readonly labels: readonly number[];
}

/** How sure a model is of a failure, by row: a number of any scale, higher is surer. */
export type Scorer = (readings: readonly Float32Array[]) => Promise<number[]>;

/** A failure counts like this many other trucks while training: with fewer, 1 truck in 50 is hardly heard. */
const FAILURE_WEIGHT = 10;

const weightOf = (label: number) => (label === 1 ? FAILURE_WEIGHT : 1);

function batchOf(readings: readonly Float32Array[]): TabularBatch {
  const width = readings[0].length;
  const flat = new Float32Array(readings.length * width);
  for (const [i, row] of readings.entries()) flat.set(row, i * width);
  return {
    numeric: tensor(flat, { shape: [readings.length, width] }),
    categorical: tensor(new Int32Array(0), { shape: [readings.length, 0] }),
  };
}

/** Class scores [rows, 2] of whatever classifies. */
type Classifier = Module & { forward(batch: TabularBatch): Tensor };

export async function logitsOf(model: Classifier, readings: readonly Float32Array[]): Promise<Float32Array> {
  const logits = scope(() => noGrad(() => model.forward(batchOf(readings))));
  const values = await logits.toFloat32();
  logits.dispose();
  return values;
}

export const scorerOf =
  (model: Classifier): Scorer =>
  async (readings) => {
    const logits = await logitsOf(model, readings);
    return readings.map((_, i) => logits[2 * i + 1] - logits[2 * i]);
  };

/** Logistic regression, as a layer. */
class Logistic extends Module {
  constructor(readonly head: Linear) {
    super();
  }
  forward({ numeric }: TabularBatch): Tensor {
    return this.head.forward(numeric);
  }
}

interface TrainingOptions {
  readonly steps: number;
  readonly rate: number;
  readonly decay: number;
  readonly seed: number;
  /** Class scores [rows · 2] of a teacher, to be met beside the labels (Ba & Caruana 2014, arXiv:1312.6184). */
  readonly teacher?: Float32Array;
  readonly afterStep?: () => void;
}

/** Rows of one step; steps go through all rows in turns. */
const BATCH = 256;

async function fit(model: Classifier, { readings, labels }: Rows, options: TrainingOptions): Promise<void> {
  const { steps, rate, decay, seed, teacher, afterStep } = options;
  let at = seed * 7919;
  const next = () =>
    Array.from({ length: Math.min(BATCH, labels.length) }, () => (at = (at + 1) % labels.length));
  const events = train<readonly number[]>({
    model,
    batches: {
      next,
      state: () => at,
      restore: (state) => {
        at = state as number;
      },
    },
    loss: (rows) => {
      const logits = model.forward(batchOf(rows.map((i) => readings[i])));
      const weights = tensor(Float32Array.from(rows, (i) => weightOf(labels[i])));
      let loss = crossEntropy(logits, tensor(Int32Array.from(rows, (i) => labels[i])));
      if (teacher) {
        const wanted = Float32Array.from(rows.flatMap((i) => [teacher[2 * i], teacher[2 * i + 1]]));
        const difference = logits.sub(tensor(wanted, { shape: [rows.length, 2] }));
        loss = loss.add(difference.mul(difference).mean(-1).mul(0.1));
      }
      return { sum: loss.mul(weights).sum(), weight: rows.reduce((sum, i) => sum + weightOf(labels[i]), 0) };
    },
    optimizer: new AdamW({ weightDecay: decay }),
    schedule: schedules.linear({ peak: rate, steps, warmup: Math.ceil(steps / 20) }),
    steps,
    clipNorm: 1,
    ...(afterStep && { afterStep }),
  });
  for await (const _ of events);
}

/** Rows in another order: batches go through them from the start. */
export function shuffled({ readings, labels }: Rows, random: () => number): Rows {
  const order = [...labels.keys()].map((i) => [random(), i]).sort(([a], [b]) => a - b);
  return { readings: order.map(([, i]) => readings[i]), labels: order.map(([, i]) => labels[i]) };
}

export interface Sizes {
  readonly steps: number;
  readonly teacher: { readonly width: number; readonly layers: number };
  readonly student: { readonly width: number; readonly layers: number };
}

function perceptron(sensors: number, { width, layers }: Sizes['teacher'], seed: number): TabularModel {
  const config = {
    architectures: ['FrugalTabularMLP'],
    hidden_size: width,
    intermediate_size: 2 * width,
    num_hidden_layers: layers,
    numeric_features: sensors,
    num_outputs: 2,
  };
  return createTabular(config, { seed });
}

export async function trainLogistic(rows: Rows, { steps }: Sizes, decay: number): Promise<Logistic> {
  const width = rows.readings[0].length;
  const zeros = tensor(new Float32Array(2 * width), { shape: [2, width] });
  const model = new Logistic(new Linear(zeros, tensor(new Float32Array(2))));
  await fit(model, rows, { steps: 2 * steps, rate: 0.02, decay, seed: 0 });
  return model;
}

export async function trainTeacher(
  rows: Rows,
  { steps, teacher }: Sizes,
  seed: number,
): Promise<TabularModel> {
  const model = perceptron(rows.readings[0].length, teacher, seed);
  await fit(model, rows, { steps, rate: 0.003, decay: 0.1, seed });
  return model;
}

const stage = (name: string, modifier: object) =>
  parseRecipe({ version: 1, seed: 0, stages: [{ name, modifiers: [modifier] }] });
const targets = { include: ['entry', 'blocks.**'] };

/** A narrower network that learns from the teacher, loses half of its weights, learns on, and becomes int8. */
export async function trainStudent(
  rows: Rows,
  taught: TabularModel,
  { steps, student }: Sizes,
  seed: number,
): Promise<{ model: TabularModel; bytesBefore: number; bytesAfter: number }> {
  const model = perceptron(rows.readings[0].length, student, seed);
  const options = { steps, rate: 0.003, decay: 0.1, seed, teacher: await logitsOf(taught, rows.readings) };
  await fit(model, rows, options);
  await compressWeights(model, stage('prune', { type: 'prune.magnitude', targets, sparsity: 0.5 }), {
    methods: [magnitude],
  });
  const masks = await zerosOf(model);
  const hold = () => {
    for (const { layer, mask } of masks)
      scope(() => noGrad(() => void layer.weight.value.assign(layer.weight.value.mul(mask))));
  };
  await fit(model, rows, { ...options, steps: Math.ceil(steps / 2), rate: 0.001, afterStep: hold });
  const int8 = { type: 'quant.rtn', targets, format: 'int8-channel', activation: 'int8' };
  const { report } = await compressWeights(model, stage('int8', int8), { methods: [roundToNearest] });
  for (const { mask } of masks) mask.dispose();
  return { model, bytesBefore: report.bytesBefore, bytesAfter: report.bytesAfter };
}

async function zerosOf(model: TabularModel): Promise<{ layer: Linear; mask: Tensor }[]> {
  const masks: { layer: Linear; mask: Tensor }[] = [];
  for (const [path, layer] of model.namedModules()) {
    if (!(layer instanceof Linear) || path === 'head') continue;
    const weight = await layer.weight.value.toFloat32();
    const mask = tensor(
      weight.map((value) => Number(value !== 0)),
      { shape: layer.weight.shape },
    );
    masks.push({ layer, mask });
  }
  return masks;
}
