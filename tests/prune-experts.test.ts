import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { CompressError, compress } from '@frugal/compress';
import { createModel, loadModel, saveModel, skeleton } from '@frugal/models';
import { inspectRouting, mixturesOf } from '@frugal/moe';
import { expertImportance, expertPruning, keptExperts, keptShares, layerPruning } from '@frugal/prune';
import { noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, type ModelConfig, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';
import { runStores } from './support/run-stores.js';
import { tokenSequences } from './support/token-sequences.js';

const root = fileURLToPath(new URL('..', import.meta.url));

const qwen = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_size: 32,
  intermediate_size: 64,
  moe_intermediate_size: 16,
  num_experts: 8,
  num_experts_per_tok: 2,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  norm_topk_prob: true,
  decoder_sparse_step: 1,
  mlp_only_layers: [],
  vocab_size: 60,
  max_position_embeddings: 64,
};
const deepseek = {
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  hidden_size: 32,
  intermediate_size: 64,
  moe_intermediate_size: 16,
  n_routed_experts: 8,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  n_group: 2,
  topk_group: 1,
  first_k_dense_replace: 1,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  q_lora_rank: null,
  kv_lora_rank: 16,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 8,
  v_head_dim: 8,
  vocab_size: 60,
  max_position_embeddings: 64,
};
const texts = (offset: number) =>
  tokenSequences(4, 40, 20).map((sequence) => sequence.map((token) => offset + token));
const calibration = [...texts(0), ...texts(30)];
const calibrationDomains = [...texts(0).map(() => 'low'), ...texts(30).map(() => 'high')];

const recipeOf = (options: object, targets: object = { include: ['**'] }) => ({
  version: 1 as const,
  seed: 0,
  stages: [{ name: 'cut', modifiers: [{ type: 'prune.experts', targets, ...options } as never] }],
});
const options = { methods: [expertPruning], calibration, calibrationDomains, rebuild: skeleton };

function logits(model: CausalLM, ids: ArrayLike<number>): Promise<Float32Array> {
  const step = stepBatch([ids], { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(step).logits())).toFloat32();
}

/** Experts 0 to 3 for tokens below 30, 4 to 7 for the others: the first channel of the embedding tells them apart. */
async function splitByToken(config: ModelConfig): Promise<CausalLM> {
  const model = createModel(config, { seed: 3 });
  const embedding = model.embed as unknown as { weight: { value: ReturnType<typeof tensor> } };
  const values = await embedding.weight.value.toFloat32();
  const [V, C] = embedding.weight.value.shape;
  for (let v = 0; v < V; v++) values[v * C] = v < 30 ? 3 : -3;
  noGrad(() => embedding.weight.value.assign(tensor(values, { shape: [V, C] })));
  for (const { router } of mixturesOf(model)) {
    const rows = await router.weight.value.toFloat32();
    for (let e = 0; e < router.experts; e++) rows[e * C] = e < router.experts / 2 ? 5 : -5;
    noGrad(() => router.weight.value.assign(tensor(rows, { shape: [router.experts, C] })));
  }
  return model;
}

describe('the maths', () => {
  const use = {
    domains: ['a', 'b'],
    salience: [
      [6, 1, 0, 0],
      [0, 1, 8, 0],
    ],
    load: [
      [3, 1, 0, 0],
      [0, 1, 2, 0],
    ],
  };
  it('ranks by the mean over the rows of an expert, or by rows', () => {
    expect(expertImportance(use, 'reap')).toEqual([2, 1, 4, 0]);
    expect(expertImportance(use, 'frequency')).toEqual([3, 2, 2, 0]);
  });
  it('keeps as many of each group', () => {
    expect(keptExperts([2, 1, 4, 0], 2, 1)).toEqual([0, 2]);
    expect(keptExperts([9, 8, 4, 0], 2, 2)).toEqual([0, 2]);
  });
  it('says what stays for each domain', () => {
    expect(keptShares(use, [1, 2])).toEqual([1 / 7, 1]);
    expect(keptShares({ ...use, salience: [[0, 0, 0, 0]] }, [0])).toEqual([null]);
  });
});

it.each([
  ['qwen3_moe', qwen, { keep: 0.5 }],
  ['deepseek_v3, groups', deepseek, { experts: 6 }],
] as const)('leaves an ordinary smaller model: %s', async (_, config, how) => {
  const before = createModel(config, { seed: 1 });
  const { model, report } = await compress(before, recipeOf({ ...how, domainFloor: 0 }), options);
  const left = 'experts' in how ? how.experts : 4;
  expect(
    mixturesOf(model).every(
      ({ router, experts }) => router.experts === left && experts.gate.experts === left,
    ),
  ).toBe(true);
  expect(model.config.num_experts ?? model.config.n_routed_experts).toBe(left);
  expect(report.bytesAfter).toBeLessThan(report.bytesBefore);
  const [outcome] = report.stages[0].outcomes;
  expect(outcome.measured).toMatchObject({ expertsLeft: left });
  expect(outcome.measured['kept of low']).toBeGreaterThan(0);
  expect((await logits(model, calibration[0])).every(Number.isFinite)).toBe(true);
});

it('only removes what nobody chose when that is enough: the output stays', async () => {
  const model = await splitByToken(qwen);
  const low = texts(0);
  const before = await logits(model, low[0]);
  const own = { ...options, calibration: low, calibrationDomains: low.map(() => 'low') };
  const { model: after } = await compress(model, recipeOf({ experts: 4 }), own);
  const now = await logits(after, low[0]);
  expect(Math.max(...now.map((value, i) => Math.abs(value - before[i])))).toBeLessThan(1e-5);
});

it('refuses a cut that loses a domain, and changes nothing', async () => {
  const model = await splitByToken(qwen);
  const before = await logits(model, calibration[0]);
  // Nearly all of the calibration is of one kind.
  const few = { ...options, calibration: [...texts(0), texts(30)[0].slice(0, 3)] };
  const domains = [...texts(0).map(() => 'low'), 'high'];
  const failing = compress(model, recipeOf({ experts: 2, importance: 'frequency' }), {
    ...few,
    calibrationDomains: domains,
  });
  await expect(failing).rejects.toThrow(CompressError);
  await expect(failing).rejects.toThrow(/lose high.*low [\d.]+ %, high 0.0 %.*Nothing was changed/s);
  expect(await logits(model, calibration[0])).toEqual(before);
  const { report } = await compress(
    model,
    recipeOf({ experts: 2, importance: 'frequency', domainFloor: 0 }),
    {
      ...few,
      calibrationDomains: domains,
    },
  );
  expect(report.stages[0].outcomes[0].measured['kept of high']).toBe(0);
});

describe('bad input', () => {
  const problems = (config: ModelConfig, how: object, targets?: object, others: object = {}) =>
    compress(createModel(config, { seed: 1 }), recipeOf(how, targets), { ...options, ...others });

  it.each([
    ['fewer experts than a token needs', qwen, { experts: 1 }, /needs at least 2/],
    ['as many as there are', qwen, { experts: 8 }, /8 of 8 experts would stay/],
    ['what groups cannot share', deepseek, { experts: 5 }, /shared evenly among 2 groups/],
    ['fewer than the chosen groups need', deepseek, { experts: 2 }, /needs at least 4/],
    ['both ways to say it', qwen, { experts: 4, keep: 0.5 }, /needs one of keep and experts/],
    ['neither', qwen, {}, /needs one of keep and experts/],
  ] as const)('%s', async (_, config, how, message) => {
    await expect(async () => problems(config, how)).rejects.toThrow(message);
  });

  it('some of the layers', async () => {
    await expect(problems(qwen, { experts: 4 }, { include: ['blocks.0.**'] })).rejects.toThrow(
      /leave out blocks\.1\.mlp\.experts/,
    );
  });

  it('a model without experts, no calibration, and domains that do not fit', async () => {
    const dense = { ...qwen, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3' };
    for (const key of [
      'moe_intermediate_size',
      'num_experts',
      'num_experts_per_tok',
      'norm_topk_prob',
      'decoder_sparse_step',
      'mlp_only_layers',
    ])
      delete (dense as Record<string, unknown>)[key];
    await expect(problems(dense, { experts: 4 })).rejects.toThrow(/finds no experts/);
    await expect(
      problems(qwen, { experts: 4 }, undefined, { calibration: [], calibrationDomains: [] }),
    ).rejects.toThrow(/needs calibration data/);
    await expect(problems(qwen, { experts: 4 }, undefined, { calibrationDomains: ['low'] })).rejects.toThrow(
      /8 calibration sequences have 1 domains/,
    );
  });
});

it('goes on after an interruption and ends with the same bytes', async () => {
  const stores = await runStores();
  const stop = new AbortController();
  const recipe = recipeOf({ experts: 4, domainFloor: 0 });
  const interrupted = compress(createModel(qwen, { seed: 1 }), recipe, {
    ...options,
    store: await stores.open(false),
    signal: stop.signal,
    onProgress: ({ path }) => void (path.startsWith('blocks.1') && stop.abort()),
  });
  await expect(interrupted).rejects.toThrow();
  expect(await stores.finishedParts()).toHaveLength(1);
  const store = await stores.open(true);
  const { model: resumed } = await compress(createModel(qwen, { seed: 1 }), recipe, { ...options, store });
  const { model: whole } = await compress(createModel(qwen, { seed: 1 }), recipe, options);
  expect(await logits(resumed, calibration[0])).toEqual(await logits(whole, calibration[0]));
});

it('composes with removed layers, and is loaded again', async () => {
  const recipe = recipeOf({ keep: 0.5, domainFloor: 0 });
  const cut = { type: 'prune.layers', targets: { include: ['blocks.*'] }, remove: 1 } as never;
  recipe.stages.push({ name: 'layers', modifiers: [cut] });
  const { model } = await compress(createModel(qwen, { seed: 1 }), recipe, {
    ...options,
    methods: [expertPruning, layerPruning],
  });
  const folder = await mkdtemp(join(tmpdir(), 'frugal-experts-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await saveModel(model, join(folder, 'model'));
  const again = await loadModel(join(folder, 'model'));
  expect(await logits(again, calibration[0])).toEqual(await logits(model, calibration[0]));
  expect(await inspectRouting(again, [{ name: 'low', sequences: texts(0) }])).toHaveLength(1);
});

it('transformers opens the result', { timeout: 120_000 }, async (context) => {
  const python = findPython('import torch, transformers');
  if (!python) return context.skip('no Python with torch and transformers');
  const folder = await mkdtemp(join(tmpdir(), 'frugal-experts-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { model } = await compress(
    createModel(qwen, { seed: 1 }),
    recipeOf({ keep: 0.5, domainFloor: 0 }),
    options,
  );
  await saveModel(model, join(folder, 'model'));
  const ids = [...calibration[0]];
  const output = join(folder, 'logits.safetensors');
  const { status, stderr } = spawnSync(
    python,
    [join(root, 'oracles/open_model.py'), join(folder, 'model'), JSON.stringify(ids), output],
    { encoding: 'utf8' },
  );
  expect(status, stderr).toBe(0);
  const source = await openSafetensors(output);
  const theirs = toFloat32(await source.read('logits'), 'F32');
  await source.close();
  const ours = await logits(model, ids);
  expect(Math.max(...ours.map((value, i) => Math.abs(value - theirs[i])))).toBeLessThan(1e-4);
});
