import { compressWeights, parseRecipe } from '@frugal/compress';
import { createTabular, type TabularBatch, type TabularModel } from '@frugal/models';
import { magnitude } from '@frugal/prune';
import { roundToNearest } from '@frugal/quant';
import { crossEntropy, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { Linear, Module } from '@frugal/tensor-core/nn';
import { AdamW, schedules, train } from '@frugal/trainer';
import type { Forest } from './forest.js';
import { likeRows } from './synthetic.js';
import { fitScaling } from './table.js';

/** Readings of trucks and whether they failed. */
export interface Rows {
  readonly readings: readonly Float64Array[];
  readonly labels: readonly number[];
}

/** How sure a model is of a failure, by row: a number of any scale, higher is surer. */
export type Scorer = (readings: readonly Float64Array[]) => Promise<number[]>;

/** Class scores [rows, 2] of whatever classifies. */
export type Classifier = Module & { forward(batch: TabularBatch): Tensor };

/** A trained network with the scaling of its inputs. */
export interface Trained<M extends Classifier = Classifier> {
  readonly model: M;
  readonly scale: (reading: Float64Array) => Float32Array;
}

/** A failure counts like this many other trucks while training: with fewer, 1 truck in 50 is hardly heard. */
const FAILURE_WEIGHT = 10;
/** So many count rows of which the teacher is not sure that they are sound, and from which score on. */
const DOUBT = { weight: 6, score: Math.log(0.05) };

function batchOf(readings: readonly Float32Array[]): TabularBatch {
  const width = readings[0].length;
  const flat = new Float32Array(readings.length * width);
  for (const [i, row] of readings.entries()) flat.set(row, i * width);
  return {
    numeric: tensor(flat, { shape: [readings.length, width] }),
    categorical: tensor(new Int32Array(0), { shape: [readings.length, 0] }),
  };
}

/** By how much the score of a failure is above the other [rows]. */
const marginOf = (logits: Tensor) => logits.mul(tensor([-1, 1])).sum(-1);

export function scorerOf({ model, scale }: Trained): Scorer {
  return async (readings) => {
    const margins = scope(() => noGrad(() => marginOf(model.forward(batchOf(readings.map(scale))))));
    const values = await margins.toFloat32();
    margins.dispose();
    return [...values];
  };
}

/** Logistic regression, as a layer. */
class Logistic extends Module {
  constructor(readonly head: Linear) {
    super();
  }
  forward({ numeric }: TabularBatch): Tensor {
    return this.head.forward(numeric);
  }
}

/** What a network learns from: scaled readings, the loss of some rows from its class scores, and how much each row counts. */
interface Lesson {
  readonly readings: readonly Float32Array[];
  readonly weights: readonly number[];
  losses(logits: Tensor, rows: readonly number[]): Tensor;
}

function fromLabels(readings: readonly Float32Array[], labels: readonly number[]): Lesson {
  return {
    readings,
    weights: labels.map((label) => (label === 1 ? FAILURE_WEIGHT : 1)),
    losses: (logits, rows) => crossEntropy(logits, tensor(Int32Array.from(rows, (i) => labels[i]))),
  };
}

/** The teacher's scores are to be met, not the labels (Ba & Caruana 2014, arXiv:1312.6184). */
function fromTeacher(readings: readonly Float64Array[], teacher: Forest, scale: Trained['scale']): Lesson {
  const scores = readings.map((reading) => teacher.score(reading));
  return {
    readings: readings.map(scale),
    weights: scores.map((score) => (score > DOUBT.score ? DOUBT.weight : 1)),
    losses: (logits, rows) => {
      const difference = marginOf(logits).sub(tensor(Float32Array.from(rows, (i) => scores[i])));
      return difference.mul(difference);
    },
  };
}

interface TrainingOptions {
  readonly steps: number;
  readonly rate: number;
  readonly decay: number;
  readonly seed: number;
  /** Added to the mean loss of every step. */
  readonly penalty?: () => Tensor;
  readonly afterStep?: () => void;
}

/** Rows of one step; steps go through all rows in turns. */
const BATCH = 256;

async function fit(model: Classifier, lesson: Lesson, options: TrainingOptions): Promise<void> {
  const { steps, rate, decay, seed, penalty, afterStep } = options;
  const { readings, weights, losses } = lesson;
  let at = seed * 7919;
  const next = () =>
    Array.from({ length: Math.min(BATCH, readings.length) }, () => (at = (at + 1) % readings.length));
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
      const each = losses(model.forward(batchOf(rows.map((i) => readings[i]))), rows);
      const counts = Float32Array.from(rows, (i) => weights[i]);
      const weight = counts.reduce((sum, count) => sum + count, 0);
      const sum = each.mul(tensor(counts)).sum();
      return { sum: penalty ? sum.add(penalty().mul(weight)) : sum, weight };
    },
    optimizer: new AdamW({ weightDecay: decay }),
    schedule: schedules.linear({ peak: rate, steps, warmup: Math.ceil(steps / 20) }),
    steps,
    clipNorm: 1,
    ...(afterStep && { afterStep }),
  });
  for await (const _ of events);
}

export interface Sizes {
  readonly steps: number;
  /** New rows for each that the teacher labels. */
  readonly copies: number;
  readonly student: { readonly width: number; readonly layers: number };
}

function perceptron(sensors: number, { width, layers }: Sizes['student'], seed: number): TabularModel {
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

/** Steps of the logistic regression. */
const REGRESSION_STEPS = 600;

/** @param strength of the squared weights in the loss */
export async function trainLogistic({ readings, labels }: Rows, strength: number): Promise<Trained> {
  const scale = fitScaling(readings);
  const width = readings[0].length;
  const zeros = tensor(new Float32Array(2 * width), { shape: [2, width] });
  const model = new Logistic(new Linear(zeros, tensor(new Float32Array(2))));
  const { weight } = model.head;
  const penalty = () => weight.value.mul(weight.value).sum().mul(strength);
  const options = { steps: REGRESSION_STEPS, rate: 0.02, decay: 0, seed: 0, penalty };
  await fit(model, fromLabels(readings.map(scale), labels), options);
  return { model, scale };
}

const stage = (name: string, modifier: object) =>
  parseRecipe({ version: 1, seed: 0, stages: [{ name, modifiers: [modifier] }] });
const targets = { include: ['entry', 'blocks.**'] };

/** A trained student and what compression made of its bytes. */
export interface Student extends Trained<TabularModel> {
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

/**
 * A small network that loses half of its weights, learns on, and becomes int8. It learns from a teacher, on the rows and on
 * new ones like them, or without one from the labels alone.
 */
export async function trainStudent(
  rows: Rows,
  teacher: Forest | null,
  { steps, copies, student }: Sizes,
  seed: number,
  random: () => number,
): Promise<Student> {
  const scale = fitScaling(rows.readings);
  const scaled = rows.readings.map(scale);
  const lesson = teacher
    ? fromTeacher(
        shuffled([...rows.readings, ...likeRows(rows.readings, scaled, copies, random)], random),
        teacher,
        scale,
      )
    : fromLabels(scaled, rows.labels);
  const model = perceptron(scaled[0].length, student, seed);
  const options = { steps, rate: 0.003, decay: 0.1, seed };
  await fit(model, lesson, options);
  await compressWeights(model, stage('prune', { type: 'prune.magnitude', targets, sparsity: 0.5 }), {
    methods: [magnitude],
  });
  const masks = await zerosOf(model);
  const hold = () => {
    for (const { layer, mask } of masks)
      scope(() => noGrad(() => void layer.weight.value.assign(layer.weight.value.mul(mask))));
  };
  await fit(model, lesson, { ...options, steps: Math.ceil(steps / 2), rate: 0.001, afterStep: hold });
  const int8 = { type: 'quant.rtn', targets, format: 'int8-channel', activation: 'int8' };
  const { report } = await compressWeights(model, stage('int8', int8), { methods: [roundToNearest] });
  for (const { mask } of masks) mask.dispose();
  return { model, scale, bytesBefore: report.bytesBefore, bytesAfter: report.bytesAfter };
}

/** Items in another order. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const keyed = items.map((item) => ({ item, key: random() })).sort((a, b) => a.key - b.key);
  return keyed.map(({ item }) => item);
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
