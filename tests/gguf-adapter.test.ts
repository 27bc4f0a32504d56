import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { openGguf, toFloat32 } from '@frugal/checkpoint';
import { attachAdapters, saveGgufAdapter } from '@frugal/lora';
import { convertModel, createModel, ggufLayout, loadModel } from '@frugal/models';
import { currentBackend, noGrad, Random, scope, setBackend } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { afterAll, expect, it } from 'vitest';
import { askLlamaCpp, findLlamaCpp } from './support/llama-cpp.js';
import { findGguf } from './support/real-gguf.js';

const folder = await mkdtemp(join(tmpdir(), 'frugal-gguf-adapter-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const original = findGguf();
const llamaCpp = findLlamaCpp();

function tune(model: CausalLM, include: string[], options = {}) {
  const set = attachAdapters(model, { targets: { include }, rank: 4, alpha: 6, ...options });
  const random = new Random(7);
  for (const { up } of set.layers.values())
    up.value = noGrad(() => scope(() => random.normal([...up.shape]).mul(0.2)));
  return set;
}

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 50,
};

it('has the names, the row order and the one alpha of llama.cpp', async () => {
  const model = createModel(config, { seed: 1 });
  const rankPattern = { 'blocks.*.mlp.down': 2 };
  const set = tune(model, ['blocks.**', 'head'], { rankPattern });
  const file = join(folder, 'tiny.gguf');
  await saveGgufAdapter(set, file, ggufLayout(model.config));
  const gguf = await openGguf(file);
  expect(Object.fromEntries(gguf.metadata)).toMatchObject({
    'general.architecture': 'llama',
    'general.type': 'adapter',
    'adapter.type': 'lora',
    'adapter.lora.alpha': 6,
  });
  const read = async (name: string) => toFloat32(await gguf.read(name), gguf.entries.get(name)!.dtype);
  const down = set.layers.get('blocks.0.mlp.down')!;
  const b = await read('blk.0.ffn_down.weight.lora_b');
  // 6 / 2 of llama.cpp is the scale of this layer as well.
  expect(down.scale).toBe(3);
  expect(b).toEqual(await down.up.value.toFloat32());
  expect(gguf.entries.get('blk.0.ffn_down.weight.lora_a')!.shape).toEqual([2, 48]);
  // Rotary pairs (i, i + 8) of a head of 16 lie side by side.
  const query = await read('blk.0.attn_q.weight.lora_b');
  const own = await set.layers.get('blocks.0.attention.query')!.up.value.toFloat32();
  const row = (values: Float32Array, r: number) => [...values.subarray(4 * r, 4 * r + 4)];
  expect([row(query, 0), row(query, 1), row(query, 2), row(query, 17)]).toEqual(
    [0, 8, 1, 24].map((r) => row(own, r)),
  );
  expect([...gguf.entries.keys()]).toContain('output.weight.lora_a');
  await gguf.close();
});

it('names what the format cannot hold', async () => {
  const save = (changes: object, include: string[], options = {}) => {
    const model = createModel({ ...config, ...changes }, { seed: 1 });
    return saveGgufAdapter(
      tune(model, include, options),
      join(folder, 'none.gguf'),
      ggufLayout(model.config),
    );
  };
  const tied = { tie_word_embeddings: true };
  await expect(save(tied, ['head', 'blocks.**'])).rejects.toThrow(
    /1 problem: got head has no tensor of its own/,
  );
  await expect(save({}, ['blocks.*.mlp.up'], { magnitudes: true })).rejects.toThrow(/up has magnitudes/);
  const sparse = {
    architectures: ['Qwen3MoeForCausalLM'],
    head_dim: 16,
    num_experts: 2,
    num_experts_per_tok: 1,
    moe_intermediate_size: 24,
  };
  await expect(save(sparse, ['blocks.**'])).rejects.toThrow(/6 problems.*sites\.0 has no tensor/);
  expect(existsSync(join(folder, 'none.gguf'))).toBe(false);
});

it('llama.cpp gives the same greedy text with it', async (context) => {
  if (!original) return context.skip('needs a GGUF file: FRUGAL_TEST_MODEL, or one in .cache/models');
  if (!llamaCpp) return context.skip('needs node-llama-cpp in the folder that FRUGAL_NODE_PEERS names');
  const before = currentBackend();
  try {
    setBackend(cpuBackend());
  } catch (error) {
    if (!(error instanceof CpuBackendUnavailableError)) throw error;
    return context.skip('needs the native addon');
  }
  try {
    // llama.cpp rounds activations before packed weights: with those of f32 both compute the same.
    const base = join(folder, 'base.gguf');
    await convertModel(original, base, { to: 'f32' });
    const prompt = [504, 1296, 4052, 4493, 282, 5545, 359];
    const text = async (model: CausalLM) => {
      const ids: number[] = [];
      for await (const id of generate(model, prompt, { maxTokens: 12 })) ids.push(id);
      return ids;
    };
    const untuned = await loadModel(base);
    const plain = await text(untuned);
    untuned.dispose();
    const expected = [plain];
    const files: string[] = [];
    for (const [i, include] of ['blocks.*.attention.*', 'blocks.*.mlp.*', 'blocks.**'].entries()) {
      const model = await loadModel(base);
      const set = tune(model, [include]);
      files.push(join(folder, `real-${i}.gguf`));
      await saveGgufAdapter(set, files[i], ggufLayout(model.config));
      expected.push(await text(model));
      model.dispose();
    }
    expect(new Set(expected.map(String)).size).toBeGreaterThan(2);
    const answers = await askLlamaCpp<{ ids: number[] }>('llama_cpp_adapter.mjs', llamaCpp, [
      base,
      '12',
      JSON.stringify(prompt),
      ...files,
    ]);
    expect(answers.map(({ ids }) => ids)).toEqual(expected);
  } finally {
    setBackend(before);
  }
});
