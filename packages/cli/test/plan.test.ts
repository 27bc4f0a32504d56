import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Footprint, ModelShape } from '@frugal/eval';
import { skeleton } from '@frugal/models';
import { describe, expect, it } from 'vitest';
import { footprintsOf, shapeOf } from '../src/capacity/model-shape.js';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  vocab_size: 32000,
  max_position_embeddings: 4096,
};
const mixture = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_size: 2048,
  intermediate_size: 6144,
  moe_intermediate_size: 768,
  num_hidden_layers: 3,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  head_dim: 128,
  vocab_size: 151936,
  num_experts: 128,
  num_experts_per_tok: 8,
  norm_topk_prob: true,
  max_position_embeddings: 40960,
};
const machine = join(folder, 'machine.yaml');
await writeFile(
  machine,
  'name: clinic PC\npricePerHour: 0.04\ndevices:\n  - { name: 8 cores, memoryBytes: 8e9, readBytesPerSecond: 40e9, ' +
    'operationsPerSecond: { f32: 4e11, bf16: 8e11, int8: 1.6e12 } }\n',
);

describe('sizes', () => {
  it('are those of Llama 2 7B', () => {
    const shape: ModelShape = shapeOf(skeleton(llama));
    expect(shape.parameters).toBe(6_738_415_616);
    expect(shape.activeParameters).toBe(6_738_415_616 - 32000 * 4096);
    const byRecipe = new Map(footprintsOf(skeleton(llama)).map((each: Footprint) => [each.recipe, each]));
    expect(byRecipe.get('bf16')?.bytes).toBe(2 * 6_738_415_616);
    const int8 = byRecipe.get('int8')?.bytes ?? 0;
    expect(int8 / 6_738_415_616).toBeGreaterThan(1);
    expect(int8 / 6_738_415_616).toBeLessThan(1.05); // the embedding stays 16 bits
    expect((byRecipe.get('int4-gptq')?.bytes ?? 0) / 6_738_415_616).toBeLessThan(0.6);
  });

  it('count only the chosen experts as active', () => {
    const model = skeleton(mixture);
    const { parameters, activeParameters } = shapeOf(model);
    const experts = 3 * 128 * 3 * 2048 * 768; // layers, experts, matrices
    expect(parameters - activeParameters).toBe((experts * 120) / 128 + 151936 * 2048);
    for (const { bytes, activeBytes } of footprintsOf(model)) expect(activeBytes).toBeLessThan(0.5 * bytes);
  });
});

describe('plan', () => {
  it('suggests the most exact format that fits, from config.json alone', async () => {
    const config = join(folder, 'config.json');
    await writeFile(config, JSON.stringify(llama));
    const { code, out } = await frugal(['plan', config, '--machine', machine, '--context', '512', '--json']);
    expect(code).toBe(0);
    const { suggestion, deployments } = JSON.parse(out);
    expect(suggestion).toBe('int8');
    expect(deployments[0]).toMatchObject({ recipe: 'bf16', fits: false });
    const text = await frugal(['plan', config, '--machine', machine]);
    expect(text.out).toMatch(/6\.74 G parameters/);
    expect(text.out).toMatch(/--recipe q4_k_m/); // 4,096 tokens of cache leave less room
  });

  it('knows saved models, and refuses a machine with wrong fields', async () => {
    const model = join(folder, 'model');
    await saveTinyModel(model);
    const { out } = await frugal(['plan', model, '--machine', machine, '--json']);
    expect(JSON.parse(out).shape.layers).toBe(2);
    await writeFile(join(folder, 'bad.yaml'), 'name: x\ndevices: [{ name: y, memory: 3 }]\n');
    const { code, err } = await frugal(['plan', model, '--machine', join(folder, 'bad.yaml')]);
    expect(code).toBe(1);
    expect(err).toMatch(/memoryBytes/);
  });
});
