import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { type AdapterError, attachAdapters, loadAdapter, saveAdapter } from '@frugal/lora';
import { createModel, huggingFaceNames, loadModel } from '@frugal/models';
import { noGrad, scope, tensor } from '@frugal/tensor-core';
import { type CausalLM, nextTokenLoss, stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';

const oracles = fileURLToPath(new URL('../oracles', import.meta.url));
const base = join(oracles, 'fixtures/llama-tiny');
const expected = await openSafetensors(join(oracles, 'fixtures/adapters.expected.safetensors'));
afterAll(() => expected.close());

const cases = ['lora', 'rslora', 'dora'];
const adapterOf = (name: string) => join(oracles, 'fixtures/adapters', name);

async function stored(name: string): Promise<Float32Array> {
  const { dtype } = expected.entries.get(name)!;
  return toFloat32(await expected.read(name), dtype);
}

async function idsOf(name: string): Promise<number[][]> {
  const flat = [...new Int32Array((await expected.read(`${name}/input_ids`)).buffer)];
  return [flat.slice(0, 12), flat.slice(12)];
}

const batchOf = (ids: number[][]) => stepBatch(ids, { vocabularySize: 128 });
const logits = (model: CausalLM, ids: number[][]) =>
  scope(() => noGrad(() => model.forward(batchOf(ids)).logits())).toFloat32();

it.for(cases)('an adapter of PEFT gives its logits and gradients here: %s', async (name) => {
  const model = await loadModel(base);
  const names = huggingFaceNames(model.config);
  const { layers } = await loadAdapter(model, adapterOf(name), names);
  const ids = await idsOf(name);
  expect(error(await logits(model, ids), await stored(`${name}/logits`))).toBeLessThan(2e-5);
  const targets = Int32Array.from(ids.flatMap((row) => [...row.slice(1), -100]));
  scope(() => {
    const { hidden } = model.forward(batchOf(ids));
    nextTokenLoss(hidden, model.head, tensor(targets))
      .mul(1 / 22)
      .backward();
  });
  let compared = 0;
  for (const [path, { down, up, magnitude }] of layers) {
    const prefix = `${name}/gradient.base_model.model.${names.toTheirs(path)}`;
    const parts = { 'lora_A.weight': down, 'lora_B.weight': up, lora_magnitude_vector: magnitude };
    for (const [part, parameter] of Object.entries(parts)) {
      if (!parameter) continue;
      const gradient = await parameter.gradient!.toFloat32();
      expect(error(gradient, await stored(`${prefix}.${part}`)), `${path} ${part}`).toBeLessThan(1e-4);
      compared++;
    }
  }
  const all = [...expected.entries.keys()].filter((key) => key.startsWith(`${name}/gradient.`));
  expect(compared).toBe(all.length);
});

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'frugal-adapter-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

async function rewritten(name: string, directory: string): Promise<string> {
  const model = await loadModel(base);
  const names = huggingFaceNames(model.config);
  const path = join(directory, name);
  await saveAdapter(await loadAdapter(model, adapterOf(name), names), path, { names });
  return path;
}

it.for(cases)('an adapter that is written reads the same: %s', async (name) => {
  const path = await rewritten(name, await temporary());
  const model = await loadModel(base);
  await loadAdapter(model, path, huggingFaceNames(model.config));
  expect(error(await logits(model, await idsOf(name)), await stored(`${name}/logits`))).toBeLessThan(2e-5);
});

const python = findPython('import torch, transformers, peft');

it('PEFT opens adapters of ours', async (context) => {
  if (!python) return context.skip('no Python with torch, transformers and peft');
  const directory = await temporary();
  const adapters = [];
  for (const name of cases) adapters.push(await rewritten(name, directory));
  const ids = await idsOf('lora');
  const out = join(directory, 'logits.safetensors');
  const script = [join(oracles, 'open_adapter.py'), base, JSON.stringify(ids), out, ...adapters];
  const { status, stderr } = spawnSync(python, script, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const theirs = await openSafetensors(out);
  onTestFinished(() => theirs.close());
  for (const [i, path] of adapters.entries()) {
    const model = await loadModel(base);
    await loadAdapter(model, path, huggingFaceNames(model.config));
    const values = toFloat32(await theirs.read(String(i)), 'F32');
    expect(error(await logits(model, ids), values)).toBeLessThan(2e-5);
  }
});

it('names everything that does not fit another base, and changes nothing', async () => {
  const config = {
    architectures: ['LlamaForCausalLM'],
    hidden_size: 64,
    intermediate_size: 100,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 128,
  };
  const model = createModel(config, { seed: 1 });
  const problems = await problemsOf(model, adapterOf('lora'));
  expect(problems.filter((each) => /layers\.1\..* is no linear layer of this model/.test(each))).toHaveLength(
    7,
  );
  expect(problems).toContain(
    'base_model.model.model.layers.0.mlp.down_proj.lora_A.weight is [4,176], not [4,100]',
  );
  expect(problems).toHaveLength(7 + 3);
  expect([...model.namedModules()].some(([path]) => path.endsWith('.base'))).toBe(false);
});

it('refuses adapters of experts that the model does not have, and changes nothing', async () => {
  const mixture = (experts: number) =>
    createModel(
      {
        architectures: ['Qwen3MoeForCausalLM'],
        ...{ hidden_size: 32, intermediate_size: 64, moe_intermediate_size: 16, head_dim: 16 },
        ...{ num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, vocab_size: 61 },
        ...{ num_experts: experts, num_experts_per_tok: 2 },
      },
      { seed: 1 },
    );
  const [larger, smaller] = [mixture(5), mixture(4)];
  const adapters = attachAdapters(larger, { targets: { include: ['**.sites.3', '**.sites.4'] }, rank: 2 });
  const path = await temporary();
  await saveAdapter(adapters, path, { names: huggingFaceNames(larger.config) });
  expect([...(await problemsOf(smaller, path))].sort()).toEqual(
    [0, 1].flatMap((layer) =>
      ['down', 'gate', 'up'].map(
        (part) => `model.layers.${layer}.mlp.experts.4.${part}_proj is no linear layer of this model`,
      ),
    ),
  );
  expect([...smaller.namedModules()].some(([name]) => name.endsWith('.base'))).toBe(false);
  expect(() => attachAdapters(smaller, { targets: { include: ['**.sites.4'] }, rank: 2 })).toThrow(
    /matches no layer: got \*\*\.sites\.4; expected .*sites\.\*/,
  );
});

it('refuses settings that would change the result', async () => {
  const directory = await temporary();
  await cp(adapterOf('lora'), directory, { recursive: true });
  const file = join(directory, 'adapter_config.json');
  const config = JSON.parse(await readFile(file, 'utf8'));
  const changes = { modules_to_save: ['lm_head'], bias: 'all', use_dora: true, init_lora_weights: 'pissa' };
  await writeFile(file, JSON.stringify({ ...config, ...changes, rank_pattern: { '(': 3 } }));
  const text = (await problemsOf(await loadModel(base), directory)).join('\n');
  for (const part of [
    'modules_to_save is not supported: ["lm_head"]',
    'bias is not supported',
    'self_attn.q_proj lacks lora_magnitude_vector',
    '"pissa" changed the base',
    'rank_pattern: (: ',
  ])
    expect(text).toContain(part);
});

async function problemsOf(model: CausalLM, path: string): Promise<readonly string[]> {
  const load = loadAdapter(model, path, huggingFaceNames(model.config));
  return load.then(
    () => [],
    ({ problems }: AdapterError) => problems,
  );
}

/** Largest difference over the largest magnitude. */
function error(actual: Float32Array, wanted: Float32Array): number {
  expect(actual.length).toBe(wanted.length);
  const scale = wanted.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return wanted.reduce((max, value, i) => Math.max(max, Math.abs(value - actual[i])), 0) / scale;
}
