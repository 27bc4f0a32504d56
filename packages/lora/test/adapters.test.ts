import { createModel, modelTensors, savingProblems } from '@frugal/models';
import { gradcheck, noGrad, PackedTensor, Random, scope, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type CausalLM,
  Linear,
  type LinearLike,
  nextTokenLoss,
  PackedLinear,
  stepBatch,
} from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';
import { AdaptedLinear } from '../src/adapted-linear.js';
import { attachAdapters } from '../src/index.js';

const random = new Random(5);
const F = 5;
const C = 32;
const R = 2;

async function bases(): Promise<[string, LinearLike][]> {
  const dense = Linear.init(C, F, { random, bias: true });
  dense.bias!.value = random.normal([F]);
  const packed = new PackedLinear(PackedTensor.pack('q8_0', await dense.weight.value.toFloat32(), [F, C]), {
    bias: dense.bias,
  });
  for (const layer of [dense, packed])
    for (const parameter of layer.parameters()) parameter.trainable = false;
  return [
    ['dense', dense],
    ['packed', packed],
  ];
}

const drawn = (shape: number[]) => random.normal(shape).mul(0.5).detach();

for (const [kind, base] of await bases()) {
  it(`LoRA over a ${kind} base: gradients of input, A and B agree with finite differences`, async () => {
    const inputs = [drawn([3, C]), drawn([R, C]), drawn([F, R])].map((value) => value.setRequiresGrad(true));
    await gradcheck((x, down, up) => new AdaptedLinear(base, { down, up, scale: 1.5 }).forward(x), inputs);
  });

  it(`DoRA over a ${kind} base: gradients of input and magnitude agree with finite differences`, async () => {
    const [down, up] = [drawn([R, C]), drawn([F, R])];
    const magnitude = drawn([F]).abs().add(1).detach();
    const inputs = [drawn([3, C]), magnitude].map((value) => value.setRequiresGrad(true));
    const apply = (x: Tensor, m: Tensor) =>
      new AdaptedLinear(base, { down: down.copy(), up: up.copy(), scale: 1.5, magnitude: m }).forward(x);
    await gradcheck(apply, inputs);
  });

  it(`the effective weight over a ${kind} base is what forward multiplies by`, async () => {
    for (const magnitude of [null, drawn([F]).abs().add(1).detach()]) {
      const layer = new AdaptedLinear(base, {
        down: drawn([R, C]),
        up: drawn([F, R]),
        scale: 0.7,
        magnitude,
      });
      const x = drawn([4, C]);
      const expected = await x.matmul(layer.effectiveWeight().transpose()).add(base.bias!.value).toFloat32();
      close(await layer.forward(x).toFloat32(), expected, 1e-5);
      const rows = await layer.effectiveWeight(2, 2).toFloat32();
      close(rows, (await layer.effectiveWeight().toFloat32()).slice(2 * C, 4 * C), 1e-6);
      if (!magnitude) continue;
      const squares = await layer.effectiveWeight().pow(2).sum(1).sqrt().toFloat32();
      close(squares, await magnitude.toFloat32(), 1e-5);
    }
  });
}

it('DoRA leaves a row of zeros as it is, and lets it learn a direction', async () => {
  const zeroRow = (values: Float32Array, columns: number) => values.fill(0, columns, 2 * columns);
  const base = new Linear(tensor(zeroRow(await drawn([F, C]).toFloat32(), C), { shape: [F, C] }));
  const up = tensor(zeroRow(await drawn([F, R]).toFloat32(), R), { shape: [F, R] });
  const magnitude = tensor(zeroRow(new Float32Array(F).fill(2), 1), { shape: [F] });
  const layer = new AdaptedLinear(base, { down: drawn([R, C]), up, scale: 0.7, magnitude });
  const x = drawn([4, C]);
  const expected = await x.matmul(layer.effectiveWeight().transpose()).toFloat32();
  const y = layer.forward(x);
  close(await y.toFloat32(), expected, 1e-5);
  expect(Array.from({ length: 4 }, (_, n) => expected[n * F + 1])).toEqual([0, 0, 0, 0]);
  expect(expected.every(Number.isFinite)).toBe(true);
  y.sum().backward();
  const gradients = await Promise.all(layer.adapterParameters().map(({ gradient }) => gradient!.toFloat32()));
  for (const gradient of gradients) expect(gradient.every(Number.isFinite)).toBe(true);
  expect(gradients[1].slice(R, 2 * R).some((value) => value !== 0)).toBe(true);
  layer.scaleColumns(drawn([C]).abs().add(0.5).detach());
  expect((await layer.effectiveWeight().toFloat32()).every(Number.isFinite)).toBe(true);
});

it('scales the columns of base and adapter alike', async () => {
  for (const magnitude of [null, drawn([F]).abs().add(1).detach()]) {
    const base = Linear.init(C, F, { random });
    const layer = new AdaptedLinear(base, { down: drawn([R, C]), up: drawn([F, R]), scale: 0.7, magnitude });
    const factors = drawn([C]).abs().add(0.5).detach();
    const expected = await layer.effectiveWeight().mul(factors).toFloat32();
    layer.scaleColumns(factors);
    close(await layer.effectiveWeight().toFloat32(), expected, 1e-5);
  }
});

it('remembers row lengths until the adapter changes', async () => {
  const layer = new AdaptedLinear(Linear.init(C, F, { random }), {
    down: drawn([R, C]),
    up: drawn([F, R]),
    scale: 1,
    magnitude: drawn([F]).detach(),
  });
  const first = layer.rowLengths();
  expect(layer.rowLengths()).toBe(first);
  const before = await first.toFloat32();
  noGrad(() => layer.up.value.assign(drawn([F, R])));
  expect(await layer.rowLengths().toFloat32()).not.toEqual(before);
});

const dense = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 50,
};
const sparse = {
  ...dense,
  architectures: ['Qwen3MoeForCausalLM'],
  head_dim: 16,
  num_key_value_heads: 2,
  num_experts: 3,
  num_experts_per_tok: 2,
  moe_intermediate_size: 24,
};
const ids = Array.from({ length: 12 }, (_, i) => (i * 7 + 3) % 50);

function logits(model: CausalLM): Promise<Float32Array> {
  return scope(() =>
    noGrad(() => model.forward(stepBatch([ids], { vocabularySize: 50 })).logits()),
  ).toFloat32();
}

for (const magnitudes of [false, true]) {
  it(`attaches, merges, unmerges and detaches exactly${magnitudes ? ' (DoRA)' : ''}`, async () => {
    for (const config of [dense, sparse]) {
      const model = createModel(config, { seed: 1 });
      const before = await logits(model);
      const set = attachAdapters(model, { targets: { include: ['blocks.**'] }, rank: 2, magnitudes });
      close(await logits(model), before, 1e-5);
      for (const { up } of set.layers.values()) up.value = drawn([...up.shape]);
      const adapted = await logits(model);
      expect(largestDifference(adapted, before)).toBeGreaterThan(1e-2);
      set.merge();
      close(await logits(model), adapted, 1e-5);
      set.unmerge();
      expect(await logits(model)).toEqual(adapted);
      set.merge();
      set.detach();
      expect(await logits(model)).toEqual(before);
      expect(model.parameters().every(({ trainable }) => trainable)).toBe(true);
    }
  });
}

it('folds the adapter of a tied head into a head of its own: the embedding stays', async () => {
  const model = createModel({ ...dense, tie_word_embeddings: true }, { seed: 1 });
  const set = attachAdapters(model, { targets: { include: ['head'] }, rank: 2 });
  for (const { up } of set.layers.values()) up.value = drawn([...up.shape]);
  const adapted = await logits(model);
  set.fold();
  close(await logits(model), adapted, 1e-5);
});

it('adapts every expert, and only adapters learn', () => {
  const model = createModel(sparse, { seed: 1 });
  const set = attachAdapters(model, { targets: { include: ['blocks.*.mlp.**'] }, rank: 2 });
  expect([...set.layers.keys()].filter((path) => path.includes('.sites.'))).toHaveLength(2 * 3 * 3);
  const trainable = [...model.namedParameters()].filter(([, { trainable }]) => trainable);
  expect(new Set(trainable.map(([, parameter]) => parameter))).toEqual(new Set(set.parameters()));
  scope(() => {
    const { hidden } = model.forward(stepBatch([ids], { vocabularySize: 50 }));
    nextTokenLoss(hidden, model.head, tensor(Int32Array.from(ids))).backward();
  });
  for (const [path, { up }] of set.layers) expect(up.gradient, path).not.toBeNull();
});

it('is not saved as part of the model', () => {
  const model = createModel(dense, { seed: 1 });
  const set = attachAdapters(model, { targets: { include: ['blocks.0.mlp.up'] }, rank: 2 });
  expect(() => modelTensors(model)).toThrow(/blocks\.0\.mlp\.up\. Merge adapters/);
  expect(savingProblems(model).join()).toMatch(/blocks\.0\.mlp\.up .*merge adapters/);
  set.merge();
  const names = modelTensors(model).map(({ name }) => name);
  expect(names).toEqual(modelTensors(createModel(dense, { seed: 1 })).map(({ name }) => name));
});

it('takes ranks and alphas from patterns', () => {
  const model = createModel(dense, { seed: 1 });
  const set = attachAdapters(model, {
    targets: { include: ['blocks.*.attention.query', 'blocks.*.mlp.down'] },
    rank: 4,
    alpha: 8,
    rankPattern: { 'blocks.1.mlp.*': 16 },
    alphaPattern: { 'blocks.0.**': 3 },
    rankStabilized: true,
  });
  const found = [...set.layers].map(([path, { rank, scale }]) => [path, rank, scale]);
  expect(found).toEqual([
    ['blocks.0.attention.query', 4, 1.5],
    ['blocks.0.mlp.down', 4, 1.5],
    ['blocks.1.attention.query', 4, 4],
    ['blocks.1.mlp.down', 16, 2],
  ]);
});

it('refuses targets and patterns that match nothing, a second adapter, and merging into packed weights', async () => {
  const model = createModel(dense, { seed: 1 });
  const attach = (include: string[], more = {}) =>
    attachAdapters(model, { targets: { include }, rank: 2, ...more });
  expect(() => attach(['blocks.**', '**.q_proj'])).toThrow(
    /got \*\*\.q_proj; expected .*blocks\.\*\.attention\.query/,
  );
  expect(() => attach(['blocks.**'], { rankPattern: { '**.q_proj': 3 } })).toThrow(
    /pattern matches no layer/,
  );
  expect(() => attach(['blocks.**'], { rank: 0 })).toThrow(/rank 0/);
  const query = model.module('blocks.0.attention.query') as Linear;
  const weight = PackedTensor.pack('q8_0', await query.weight.value.toFloat32(), [32, 32]);
  model.replace('blocks.0.attention.query', new PackedLinear(weight));
  const set = attach(['blocks.*.attention.query']);
  expect(() => attach(['blocks.*.attention.query'])).toThrow(/have an adapter already/);
  expect(() => set.merge()).toThrow(/got blocks\.0\.attention\.query\./);
  expect(set.isMerged).toBe(false);
  expect(() => new AdaptedLinear(query, { down: tensor([[1]]), up: tensor([[1]]), scale: 1 })).toThrow(
    /down \[1,1\]/,
  );
});

function close(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  expect(largestDifference(actual, expected)).toBeLessThan(tolerance * Math.max(...expected.map(Math.abs)));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0);
}
