import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress, type ModifierFactory } from '@frugal/compress';
import { createModel, loadModel, saveModel, skeleton } from '@frugal/models';
import { inspectRouting, type MixtureOfExperts, mixturesOf } from '@frugal/moe';
import { expertMerging } from '@frugal/prune';
import { columnErrorShare, expertBits, roundToNearest } from '@frugal/quant';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { packedByteLength } from '@frugal/tensor-core/formats';
import { type CausalLM, PackedLinear, type Parameter, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';
import { tokenSequences } from './support/token-sequences.js';

const config = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_size: 32,
  intermediate_size: 64,
  moe_intermediate_size: 32,
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
const calibration = tokenSequences(4, 40, 29);

const recipeOf = (spec: object) => ({
  version: 1 as const,
  seed: 0,
  stages: [{ name: 'one', modifiers: [{ targets: { include: ['**'] }, ...spec } as never] }],
});
const run = (model: CausalLM, method: ModifierFactory, spec: object) =>
  compress(model, recipeOf({ type: method.type, ...spec }), {
    methods: [method],
    calibration,
    rebuild: skeleton,
  });

function logits(model: CausalLM, ids: ArrayLike<number> = calibration[0]): Promise<Float32Array> {
  const step = stepBatch([ids], { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(step).logits())).toFloat32();
}

function meanSquare(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length;
}

/** Rows or columns of each expert in another order, or the same: expert e becomes `from(e)`. */
async function rearrange(holder: Parameter, pick: (e: number, i: number) => readonly [number, number]) {
  const [E, ...rest] = holder.shape;
  const size = rest.reduce((a, b) => a * b, 1);
  const old = await holder.value.toFloat32();
  const values = Float32Array.from({ length: E * size }, (_, i) => {
    const [e, place] = pick(Math.floor(i / size), i % size);
    return old[e * size + place];
  });
  noGrad(() => holder.value.assign(tensor(values, { shape: holder.shape })));
}

/** Of DeepSeek-V3, whose experts lie in two groups. */
const grouped = {
  ...{ architectures: ['DeepseekV3ForCausalLM'], model_type: 'deepseek_v3', hidden_size: 32 },
  ...{ intermediate_size: 64, moe_intermediate_size: 32, n_routed_experts: 8, n_shared_experts: 1 },
  ...{ num_experts_per_tok: 2, n_group: 2, topk_group: 1, first_k_dense_replace: 1, num_hidden_layers: 2 },
  ...{ num_attention_heads: 2, num_key_value_heads: 2, q_lora_rank: null, kv_lora_rank: 16 },
  ...{ qk_nope_head_dim: 8, qk_rope_head_dim: 8, v_head_dim: 8, vocab_size: 60 },
  max_position_embeddings: 64,
};

/** Each expert computes what its twin does, later ones with their neurons in the opposite order, and gets the same scores. */
async function withTwins(own: object, twin: (e: number) => number): Promise<CausalLM> {
  const model = createModel({ ...own, num_experts_per_tok: 1 }, { seed: 2 });
  const [F, C] = [config.moe_intermediate_size, config.hidden_size];
  for (const { router, experts } of mixturesOf(model)) {
    await rearrange(router.weight, (e, c) => [twin(e), c]);
    for (const stack of [experts.gate, experts.up])
      await rearrange(stack.weight!, (e, i) => {
        const [f, c] = [Math.floor(i / C), i % C];
        return [twin(e), (e === twin(e) ? f : F - 1 - f) * C + c];
      });
    await rearrange(experts.down.weight!, (e, i) => {
      const [c, f] = [Math.floor(i / F), i % F];
      return [twin(e), c * F + (e === twin(e) ? f : F - 1 - f)];
    });
  }
  return model;
}

describe('moe.merge', () => {
  it('joins twins, and nothing changes', async () => {
    const model = await withTwins(config, (e) => e % 4);
    const before = await logits(model);
    const { model: merged, report } = await run(model, expertMerging, { keep: 0.5 });
    for (const { measured } of report.stages[0].outcomes)
      expect(measured).toMatchObject({ expertsLeft: 4, merged: '0+4 1+5 2+6 3+7' });
    expect(merged.config.num_experts).toBe(4);
    expect(mixturesOf(merged).map(({ router, experts }) => [router.experts, experts.gate.experts])).toEqual([
      [4, 4],
      [4, 4],
    ]);
    const after = await logits(merged);
    for (const [i, value] of before.entries()) expect(Math.abs(after[i] - value)).toBeLessThan(1e-5);
  });

  it('groups as SciPy does: average linkage of the cosines of router scores', async (context) => {
    const python = findPython('import scipy');
    if (!python) return context.skip('no Python with scipy');
    const model = createModel(config, { seed: 6 });
    const scores = await Promise.all(mixturesOf(model).map((mixture) => scoresOf(model, mixture)));
    const program = `
import json, sys, numpy as np
from scipy.cluster.hierarchy import linkage, fcluster
answers = []
for scores in json.load(sys.stdin):
    s = np.concatenate([np.array(x).reshape(-1, 8) for x in scores])
    n = s / np.linalg.norm(s, axis=0)
    d = 1 - n.T @ n
    labels = fcluster(linkage(d[np.triu_indices(8, 1)], 'average'), 5, 'maxclust')
    groups = {}
    for e, label in enumerate(labels): groups.setdefault(int(label), []).append(e)
    answers.append(' '.join(sorted('+'.join(map(str, g)) for g in groups.values() if len(g) > 1)))
print(json.dumps(answers))`;
    const { stdout, stderr, status } = spawnSync(python, ['-c', program], {
      input: JSON.stringify(scores),
      encoding: 'utf8',
    });
    expect(status, stderr).toBe(0);
    const { report } = await run(model, expertMerging, { experts: 5 });
    const merged = report.stages[0].outcomes.map(({ measured }) => measured.merged);
    expect(merged).toEqual(JSON.parse(stdout));
  });

  it('joins twins of the groups that tokens choose among, and nothing changes', async () => {
    const twins = await withTwins({ ...grouped, topk_group: 2 }, (e) => e - ((e >> 1) % 2) * 2);
    const before = await logits(twins);
    const { model: merged, report } = await run(twins, expertMerging, { keep: 0.5 });
    expect(report.stages[0].outcomes[0].measured).toMatchObject({ merged: '0+2 1+3 4+6 5+7' });
    expect(merged.config).toMatchObject({ n_routed_experts: 4, n_group: 2 });
    const after = await logits(merged);
    for (const [i, value] of before.entries()) expect(Math.abs(after[i] - value)).toBeLessThan(1e-5);
  });

  it('never joins experts of two groups, even twins', async () => {
    const twins = await withTwins(grouped, (e) => e % 4);
    const { report } = await run(twins, expertMerging, { experts: 4 });
    const { expertsLeft, merged } = report.stages[0].outcomes[0].measured ?? {};
    expect(expertsLeft).toBe(4);
    for (const pair of String(merged).split(' ')) {
      const groups = pair.split('+').map((e) => Math.floor(Number(e) / 4));
      expect(groups.length, pair).toBeGreaterThan(1);
      expect(new Set(groups).size, pair).toBe(1);
    }
  });

  it('refuses unclear numbers', async () => {
    const model = createModel(grouped, { seed: 1 });
    await expect(run(model, expertMerging, { experts: 5 })).rejects.toThrow(/evenly among 2 groups/);
    const other = createModel(config, { seed: 1 });
    await expect(run(other, expertMerging, { keep: 0.5, experts: 4 })).rejects.toThrow(
      /one of keep and experts/,
    );
    await expect(run(other, expertMerging, { experts: 1 })).rejects.toThrow(/a token needs at least/);
  });
});

async function scoresOf(model: CausalLM, { path }: MixtureOfExperts): Promise<number[][]> {
  const name = `${path}.scores`;
  return Promise.all(
    calibration.map(async (ids) => {
      const step = stepBatch([ids], { vocabularySize: model.vocabularySize, collect: new Set([name]) });
      const scores = scope(() => noGrad(() => (model.forward(step).collected.get(name) as Tensor).copy()));
      return [...(await scores.toFloat32())];
    }),
  );
}

/** No token chooses experts 4 to 7: a channel that is large in all embeddings speaks against them. */
async function halfUsed(): Promise<CausalLM> {
  const model = createModel(config, { seed: 5 });
  const { weight } = model.embed as unknown as { weight: Parameter };
  const values = await weight.value.toFloat32();
  const [V, C] = weight.shape;
  for (let v = 0; v < V; v++) values[v * C] = 3;
  noGrad(() => weight.value.assign(tensor(values, { shape: [V, C] })));
  for (const { router } of mixturesOf(model)) {
    const rows = await router.weight.value.toFloat32();
    for (let e = 0; e < 8; e++) rows[e * C] = e < 4 ? 5 : -5;
    noGrad(() => router.weight.value.assign(tensor(rows, { shape: [8, C] })));
  }
  return model;
}

describe('quant.experts', () => {
  const formats = ['int2-g32', 'int4-g32', 'int8-channel'];
  const bitsOf = (format: string) => (8 * packedByteLength(format, 32, 32)) / (32 * 32);

  it('keeps within the budget, and is nearer to the model than one format for all', async () => {
    const wanted = await logits(await halfUsed());
    const bits = bitsOf('int4-g32');
    const { model } = await run(await halfUsed(), expertBits, { formats, bits, activation: 'none' });
    const used = new Map<string, number>();
    let bytes = 0;
    for (const [path, module] of model.namedModules()) {
      if (!(module instanceof PackedLinear)) continue;
      expect(path).toContain('.experts.');
      used.set(module.weight.format, (used.get(module.weight.format) ?? 0) + 1);
      bytes += module.weight.byteLength;
    }
    expect([...used.values()].reduce((a, b) => a + b)).toBe(2 * 8 * 3);
    expect(used.size).toBeGreaterThan(1);
    expect(bytes).toBeLessThanOrEqual((2 * 8 * 3 * 32 * 32 * bits) / 8);
    const uniform = await run(await halfUsed(), roundToNearest, {
      targets: { include: ['blocks.*.mlp.experts.**'] },
      format: 'int4-g32',
      activation: 'none',
    });
    const [mixed, plain] = [await logits(model), await logits(uniform.model)];
    expect(meanSquare(mixed, wanted)).toBeLessThan(meanSquare(plain, wanted));
  });

  it('gives the fewest bits to experts that no token chooses', async () => {
    const model = await halfUsed();
    const layers = await inspectRouting(model, [{ name: 'all', sequences: calibration }]);
    const bits = (bitsOf('int8-channel') + bitsOf('int2-g32')) / 2; // for half of the experts the best, for the others the least
    const { report } = await run(model, expertBits, { formats, bits });
    const formatOf = new Map(report.stages[0].outcomes.map(({ path, measured }) => [path, measured.format]));
    for (const { path, load } of layers) {
      const most = load.indexOf(Math.max(...load));
      expect(load.filter((share) => share === 0).length).toBeGreaterThanOrEqual(4);
      for (const stack of ['gate', 'up', 'down']) {
        const at = (e: number) => formatOf.get(`${path}.experts.${stack}.sites.${e}`);
        expect(at(most)).toBe('int8-channel');
        for (const [e, share] of load.entries()) if (share === 0) expect(at(e)).toBe('int2-g32');
      }
    }
  });

  it('comes back from a file as it is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'expert-bits-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const { model } = await run(createModel(config, { seed: 5 }), expertBits, { formats, bits: 5 });
    await saveModel(model, join(folder, 'mixed'), { layout: 'frugal' });
    expect(await logits(await loadModel(join(folder, 'mixed')))).toEqual(await logits(model));
  });

  it('says before any work what cannot be', async () => {
    const model = createModel(config, { seed: 5 });
    await expect(run(model, expertBits, { formats, bits: 1 })).rejects.toThrow(
      /do not fit even in their smallest formats.*1 bits per weight.*at least 2\.5/s,
    );
    const targets = { include: ['blocks.*.attention.**'] };
    await expect(run(model, expertBits, { formats, bits: 4, targets })).rejects.toThrow(/are no experts/);
    await expect(run(model, expertBits, { formats: ['int4-g32', 'q4'], bits: 5 })).rejects.toThrow(/q4/);
  });

  it('columnErrorShare is the share of the output that rounding changes', () => {
    // Inputs (2, 0) and (0, 1): outputs 2·3 and 1·4 of the row (3, 4); with (2, 5) they are 4 and 5.
    const share = columnErrorShare(Float32Array.of(3, 4), Float32Array.of(2, 5), [4, 1]);
    expect(share).toBeCloseTo((2 ** 2 + 1 ** 2) / (6 ** 2 + 4 ** 2), 12);
    expect(columnErrorShare(Float32Array.of(3, 4), Float32Array.of(2, 5), [0, 0])).toBe(0);
  });
});
