import { createEncoder, createModel, huggingFaceNames, loadModel } from '@frugal/models';
import { noGrad, Random, tensor } from '@frugal/tensor-core';
import { type CausalLM, type Module, nextTokenBatch, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  classificationLoss,
  constant,
  groupAdvantages,
  type Loss,
  languageModelLoss,
  multiTokenLoss,
  type PolicySample,
  type PreferencePair,
  policyLoss,
  preferenceLoss,
  preferenceMetrics,
  regressionLoss,
  TextClassifier,
  tokenLogProbs,
  withReference,
} from '../src/index.js';
import { fixturePath, readFixture, readNumbers } from './fixtures.js';
import { losses } from './support.js';

interface Text {
  readonly tokens: readonly number[];
  readonly start: number;
  readonly reference: readonly number[];
  readonly old: readonly number[];
  readonly advantage: number;
}

interface Case {
  readonly name: string;
  readonly kind: 'preference' | 'policy';
  readonly loss: number;
  readonly gradientNorms: Readonly<Record<string, number>>;
}

const fixture = readFixture<{ readonly texts: readonly Text[]; readonly cases: readonly Case[] }>(
  'tuning-losses.json',
);

function sequenceOf({ tokens, start }: Text) {
  const ids = Int32Array.from(tokens);
  const targets = new Int32Array(ids.length).fill(-100);
  targets.set(ids.subarray(start), start - 1);
  return { tokens: ids, targets };
}

const texts = fixture.texts.map(sequenceOf);
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const pairs: PreferencePair[] = [0, 2].map((i) => ({
  chosen: texts[i],
  rejected: texts[i + 1],
  reference: { chosen: sum(fixture.texts[i].reference), rejected: sum(fixture.texts[i + 1].reference) },
}));
const samples: PolicySample[] = fixture.texts.map(({ advantage, old, reference }, i) => ({
  ...texts[i],
  advantage,
  old: Float32Array.from(old),
  reference: Float32Array.from(reference),
}));

/** Loss per item, with gradients left in the model. */
async function meanOf<B>(loss: Loss<B>, batch: B): Promise<number> {
  const { sum, weight } = loss(batch);
  sum.backward(tensor(1 / weight));
  return (await sum.item()) / weight;
}

async function gradientNorms(model: CausalLM): Promise<Record<string, number>> {
  const { toTheirs } = huggingFaceNames(model.config);
  const norms: Record<string, number> = {};
  for (const [path, { gradient }] of model.namedParameters()) {
    const values = (await gradient?.toFloat32()) ?? [];
    norms[toTheirs(path) ?? path] = Math.hypot(...values);
  }
  return norms;
}

async function expectCase(name: string, model: CausalLM, actual: number): Promise<void> {
  const wanted = fixture.cases.find((one) => one.name === name) as Case;
  expect(Math.abs(actual - wanted.loss) / Math.abs(wanted.loss)).toBeLessThan(2e-5);
  const norms = await gradientNorms(model);
  expect(Object.keys(norms).sort()).toEqual(Object.keys(wanted.gradientNorms).sort());
  for (const [key, norm] of Object.entries(wanted.gradientNorms))
    expect(Math.abs(norms[key] - norm), key).toBeLessThan(1e-4 * norm + 1e-7);
}

const loadTiny = () => loadModel(fixturePath('llama-tiny'));

describe('preferences', () => {
  it.each([
    ['dpo', { beta: 0.1 }],
    ['dpo-smoothed', { beta: 0.5, labelSmoothing: 0.1 }],
  ])('%s follows the formula in PyTorch', async (name, options) => {
    const model = await loadTiny();
    await expectCase(name, model, await meanOf(preferenceLoss(model, options), { pairs }));
  });

  it('is log 2 at the reference, whether it is a model or numbers', async () => {
    const [model, reference] = [await loadTiny(), await loadTiny()];
    const plain = pairs.map(({ chosen, rejected }) => ({ chosen, rejected }));
    const known = await withReference(reference, plain, { batch: 1 });
    for (const [batch, options] of [
      [{ pairs: plain }, { reference }],
      [{ pairs: known }, {}],
    ] as const) {
      expect(await meanOf(preferenceLoss(model, options), batch)).toBeCloseTo(Math.LN2, 5);
      expect((await preferenceMetrics(model, batch, options)).margin).toBeCloseTo(0, 4);
    }
    expect(reference.parameters().every(({ gradient }) => gradient === null)).toBe(true);
  });

  it('teaches the order of answers', async () => {
    const model = await loadTiny();
    const known = await withReference(await loadTiny(), pairs);
    const batches = { next: () => ({ pairs: known }), state: () => null, restore: () => {} };
    const options = { model, batches, loss: preferenceLoss(model), optimizer: new AdamW() } as never;
    const schedule = constant({ peak: 1e-3 });
    await losses({ ...(options as object), schedule, steps: 12 } as never);
    const { accuracy, margin, loss } = await preferenceMetrics(model, { pairs: known });
    expect(accuracy).toBe(1);
    expect(margin).toBeGreaterThan(0.5);
    expect(loss).toBeLessThan(0.5);
  });

  it('refuses pairs without a reference, empty answers and bad options', async () => {
    const model = await loadTiny();
    const [{ chosen, rejected }] = pairs;
    expect(() => preferenceLoss(model)({ pairs: [{ chosen, rejected }] })).toThrow(
      /no reference.*withReference/s,
    );
    const empty = { tokens: chosen.tokens, targets: chosen.targets.map(() => -100) };
    const reference = { chosen: 0, rejected: 0 };
    expect(() => preferenceLoss(model)({ pairs: [{ chosen, rejected: empty, reference }] })).toThrow(
      /the rejected answer of pair 0 is empty/,
    );
    expect(() => preferenceLoss(model, { beta: 0 })).toThrow(/bad beta: got 0/);
    expect(() => preferenceLoss(model, { labelSmoothing: 0.5 })).toThrow(/bad labelSmoothing/);
  });
});

describe('policies', () => {
  it.each([
    ['grpo', { clip: 0.2, klWeight: 0.04 }],
    ['grpo-clipped', { clip: 0.02, klWeight: 0.5 }],
  ])('%s follows the formula in PyTorch', async (name, options) => {
    const model = await loadTiny();
    await expectCase(name, model, await meanOf(policyLoss(model, options), { samples }));
  });

  it('compares answers within their group', () => {
    const [a, b, c] = groupAdvantages([1, 0, 2]);
    expect([a, b + c]).toEqual([0, 0]);
    expect(c).toBeCloseTo(Math.sqrt(1.5), 3);
    expect(groupAdvantages([0.3, 0.3, 0.3])).toEqual([0, 0, 0]);
  });

  it('refuses numbers that do not fit', async () => {
    const model = await loadTiny();
    const [{ reference: _, ...sample }] = samples;
    expect(() => policyLoss(model)({ samples: [sample] })).toThrow(/sample 0: reference needs .*got none/);
    const short = { ...sample, old: new Float32Array(1) };
    expect(() => policyLoss(model, { klWeight: 0 })({ samples: [short] })).toThrow(
      /old needs .*got 1; expected 6/,
    );
  });
});

describe('tokenLogProbs', () => {
  it('gives the same in pieces: values and gradients', async () => {
    const run = async (outFeatures?: number) => {
      const model = await loadTiny();
      const { vocabularySize } = model;
      const { hidden } = model.forward(stepBatch([texts[0].tokens], { vocabularySize }));
      // A head that says it has very many outputs is asked for few rows at a time.
      const head = Object.create(model.head, { outFeatures: { value: outFeatures ?? vocabularySize } });
      const logProbs = tokenLogProbs(hidden, head, texts[0].tokens);
      logProbs.mul(logProbs).sum().backward();
      return { values: await logProbs.toFloat32(), norms: await gradientNorms(model) };
    };
    const [whole, pieces] = [await run(), await run(2 ** 22)];
    for (const [i, value] of whole.values.entries()) expect(pieces.values[i]).toBeCloseTo(value, 5);
    for (const [key, norm] of Object.entries(whole.norms)) expect(pieces.norms[key] / norm).toBeCloseTo(1, 4);
  });
});

describe('multi-token prediction', () => {
  it('is the sum over the logits of transformers', async () => {
    const name = 'deepseek-v3-3';
    const model = await loadModel(fixturePath(`families/${name}`));
    const numbers = await readNumbers(`families/${name}.expected.safetensors`);
    const { shape, values } = numbers.get('input_ids')!;
    const [B, T] = shape;
    const ids = new Int32Array(values.buffer, values.byteOffset, B * T);
    const V = model.vocabularySize;
    /** Σ -log p of the tokens from place `first` on, by logits [B, rows, V] whose row r speaks of token first + r. */
    const lossOf = (key: string, rows: number, first: number) => {
      const logits = Float32Array.from(numbers.get(key)!.values);
      let total = 0;
      for (let b = 0; b < B; b++) {
        for (let r = 0; first + r < T; r++) {
          const row = logits.subarray((b * rows + r) * V, (b * rows + r + 1) * V);
          const largest = Math.max(...row);
          const norm = Math.log(row.reduce((all, logit) => all + Math.exp(logit - largest), 0)) + largest;
          total += norm - row[ids[b * T + first + r]];
        }
      }
      return total;
    };
    const depth = [...numbers.keys()].filter((key) => key.startsWith('prediction.')).length;
    expect(model.extraBlocks).toHaveLength(depth);
    const weight = 0.3;
    let wanted = lossOf('logits', T, 1);
    for (let d = 0; d < depth; d++) wanted += (weight / depth) * lossOf(`prediction.${d}`, T - d - 1, d + 2);
    const batch = nextTokenBatch(Array.from({ length: B }, (_, b) => ids.slice(b * T, (b + 1) * T)));
    const { sum, weight: items } = noGrad(() => multiTokenLoss(model, { weight })(batch));
    expect(items).toBe(B * (T - 1));
    expect(Math.abs((await sum.item()) / wanted - 1)).toBeLessThan(1e-5);
  });

  it('gives gradients to the blocks, ignores what has no target, and does without long texts', async () => {
    const model = await loadModel(fixturePath('families/deepseek-v3-3'));
    const long = nextTokenBatch([Int32Array.of(1, 2, 3, 4, 5, 6), Int32Array.of(7, 8)]);
    await meanOf(multiTokenLoss(model), long);
    const block = model.extraBlocks[0] as Module;
    expect(block.parameters().some(({ gradient }) => gradient !== null)).toBe(true);
    const answers = { ...long, targets: long.targets.map((target, row) => (row === 0 ? target : -100)) };
    const [further, plain] = [multiTokenLoss(model)(answers), languageModelLoss(model)(answers)];
    expect(await further.sum.item()).toBeCloseTo(await plain.sum.item(), 4);
    expect(Number.isFinite(await meanOf(multiTokenLoss(model), nextTokenBatch([Int32Array.of(1, 2)])))).toBe(
      true,
    );
  });

  it('is refused for models without such blocks', async () => {
    const model = await loadTiny();
    expect(() => multiTokenLoss(model)).toThrow(/no blocks that predict further tokens/);
  });
});

const shared = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 20 };
const sizes = { ...shared, intermediate_size: 24, max_position_embeddings: 16 };

describe('labels', () => {
  const sequences = [
    [1, 2, 3],
    [4, 5],
    [6, 7, 8, 9],
    [10, 2],
  ].map((ids) => Int32Array.from(ids));
  const causal = (outputs: number) => {
    const model = createModel({ architectures: ['LlamaForCausalLM'], ...sizes }, { seed: 3 });
    return new TextClassifier(model, { outputs, random: new Random(4) });
  };
  const encoder = () =>
    createEncoder({ architectures: ['BertForSequenceClassification'], ...sizes, num_labels: 3 }, { seed: 3 });
  const learn = async (model: Module, loss: unknown, labels: unknown) => {
    const batches = { next: () => ({ sequences, labels }), state: () => null, restore: () => {} };
    const schedule = constant({ peak: 0.02 });
    return losses({ model, loss, batches, optimizer: new AdamW(), schedule, steps: 40 } as never);
  };

  it.each([
    ['an encoder', encoder],
    ['a causal model', () => causal(3)],
  ])('are learned by %s as classes', async (_, make) => {
    const model = make();
    const values = await learn(model, classificationLoss(model), [0, 2, 1, 2]);
    expect(values[0]).toBeGreaterThan(0.8);
    expect(values.at(-1)).toBeLessThan(0.1);
  });

  it('are learned as numbers', async () => {
    const model = causal(2);
    const targets = [
      [1, 0],
      [0, -1],
      [0.5, 2],
      [-1, 1],
    ];
    const first = regressionLoss(model)({ sequences, labels: targets });
    const scores = await model
      .forward(stepBatch(sequences, { vocabularySize: 20, logits: 'last' }))
      .logits()
      .toFloat32();
    const expected = scores.reduce((all, score, i) => all + (score - targets[i >> 1][i & 1]) ** 2, 0) / 2;
    expect(await first.sum.item()).toBeCloseTo(expected, 4);
    expect((await learn(model, regressionLoss(model), targets)).at(-1)).toBeLessThan(0.05);
  });

  it('must be classes, and one per text', () => {
    const loss = classificationLoss(causal(3));
    expect(() => loss({ sequences, labels: [0, 1, 2, 3] })).toThrow(
      /no class of the model: got 3; expected 0 to 2/,
    );
    expect(() => loss({ sequences, labels: [0] })).toThrow(/one label: got 4 texts and 1 labels/);
    expect(() => regressionLoss(causal(2))({ sequences, labels: [1, 2, 3, 4] })).toThrow(/got 1; expected 2/);
  });
});
