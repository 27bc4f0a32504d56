import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCpuBackend } from '@frugal/backend-cpu';
import { expertMemoryOf, mixturesOf } from '@frugal/moe';
import { noGrad, PackedTensor, referenceBackend, scope, setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { type CausalLM, PackedLinear, stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createModel, loadModel, saveModel } from '../src/index.js';

const config = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_size: 64,
  intermediate_size: 64,
  moe_intermediate_size: 32,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  head_dim: 32,
  num_experts: 8,
  num_experts_per_tok: 2,
  norm_topk_prob: true,
  vocab_size: 97,
  max_position_embeddings: 128,
};
/** Of one expert: three matrices of 64 × 32. */
const DENSE_EXPERT = 4 * 3 * 64 * 32;
const PACKED_EXPERT = DENSE_EXPERT / 4;

const folder = mkdtempSync(join(tmpdir(), 'experts-'));
const spill = join(folder, 'spill');
const tokens = [5, 17, 3, 88, 41, 41, 9];

async function packExperts(model: CausalLM): Promise<void> {
  await Promise.all(
    mixturesOf(model).flatMap(({ experts }) =>
      experts.stacks.flatMap((stack) =>
        [...stack.sites.keys()].map(async (e) => {
          const site = stack.site(e);
          const weight = noGrad(() => scope(() => site.effectiveWeight().copy()));
          const packed = PackedTensor.pack('int4-g32', await weight.toFloat32(), [
            site.outFeatures,
            site.inFeatures,
          ]);
          stack.sites[e] = new PackedLinear(packed);
        }),
      ),
    ),
  );
}

async function idsOf(model: CausalLM): Promise<number[]> {
  const ids: number[] = [];
  for await (const id of generate(model, tokens, { maxTokens: 20, temperature: 0 })) ids.push(id);
  return ids;
}

async function logitsOf(model: CausalLM): Promise<Float32Array> {
  const logits = scope(() =>
    noGrad(() =>
      model
        .forward(stepBatch([tokens], { vocabularySize: model.vocabularySize }))
        .logits()
        .cast('f32'),
    ),
  );
  const values = await logits.toFloat32();
  logits.dispose();
  return values;
}

function expectClose(actual: Float32Array, wanted: Float32Array): void {
  expect(actual.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(actual[i] - value)).toBeLessThan(2e-5);
}

describe('a model whose experts stay in a file', async () => {
  const cpu = await loadCpuBackend().catch(() => null);

  beforeAll(async () => {
    setBackend(cpu ?? referenceBackend());
    const model = createModel(config, { seed: 4 });
    await saveModel(model, join(folder, 'dense'));
    await packExperts(model);
    await saveModel(model, join(folder, 'packed'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['dense', DENSE_EXPERT],
    ['packed', PACKED_EXPERT],
  ])('computes what it computes with all in memory: %s', async (kind, size) => {
    if (!cpu) return; // the next test says that it needs the native addon
    const whole = await loadModel(join(folder, kind));
    for (const budget of [size, 8 * size]) {
      const limited = await loadModel(join(folder, kind), { expertMemory: { budget, folder: spill } });
      expectClose(await logitsOf(limited), await logitsOf(whole));
      expect(await idsOf(limited)).toEqual(await idsOf(whole));
      const { needed, present, residentBytes } = expertMemoryOf(limited)!.use;
      expect(residentBytes).toBeLessThanOrEqual(budget);
      expect(needed).toBeGreaterThan(20 * 3 * 2);
      expect(present).toBeLessThan(needed);
      limited.dispose();
    }
    whole.dispose();
    expect(readdirSync(spill)).toEqual([]);
  });

  it('leaves no file behind when there are no experts', async (context) => {
    if (!cpu) return context.skip('needs the native addon');
    const {
      moe_intermediate_size: _,
      num_experts: _e,
      num_experts_per_tok: _k,
      norm_topk_prob: _n,
      ...rest
    } = config;
    const plain = { ...rest, architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3' };
    const dense = createModel(plain, { seed: 4 });
    await saveModel(dense, join(folder, 'plain'));
    const load = loadModel(join(folder, 'plain'), { expertMemory: { budget: 1e6, folder: spill } });
    await expect(load).rejects.toThrow(/all of its layers are dense/);
    expect(readdirSync(spill)).toEqual([]);
  });

  it('refuses a budget that holds no expert, and a backend that maps no files', async (context) => {
    const path = join(folder, 'dense');
    const expertMemory = { budget: 100, folder: spill };
    await expect(loadModel(path, { expertMemory, backend: referenceBackend() })).rejects.toThrow(/reference/);
    if (!cpu) return context.skip('needs the native addon');
    await expect(loadModel(path, { expertMemory })).rejects.toThrow(/100 bytes/);
  });
});
