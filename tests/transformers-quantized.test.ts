import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { compress, type ModifierSpec } from '@frugal/compress';
import { createModel, loadModel, saveModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { noGrad, scope } from '@frugal/tensor-core';
import { type CausalLM, type ModelConfig, stepBatch } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';

const script = fileURLToPath(new URL('../oracles/open_model.py', import.meta.url));
/** Older ones count the codes of a tied head as missing. */
const python = findPython(
  'import torch, compressed_tensors, transformers; assert int(transformers.__version__.split(".")[0]) >= 5',
);

const llama: ModelConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  vocab_size: 96,
  max_position_embeddings: 64,
};

const pack = (format: string, include: string[], activation = 'none'): ModifierSpec => ({
  type: 'quant.rtn',
  targets: { include },
  format,
  activation,
});
const everything = ['**'];
const blocks = ['blocks.**'];
const int8Head = pack('int8-channel', ['head']);

const cases: Readonly<Record<string, { config?: object; modifiers: ModifierSpec[] }>> = {
  'int4-g32': { modifiers: [pack('int4-g32', blocks)] },
  'int4-g64-zero': { modifiers: [pack('int4-g64-zero', blocks)] },
  'int3-g32-zero': { modifiers: [pack('int3-g32-zero', blocks)] },
  'int2-g16': { modifiers: [pack('int2-g16-f32', blocks)] },
  'int8-g128': { modifiers: [pack('int8-g128-bf16', blocks)] },
  'int4-order': { modifiers: [pack('int4-g32-order', blocks)] },
  int8: { modifiers: [pack('int8-channel', everything)] },
  w8a8: { modifiers: [pack('int8-channel', everything, 'int8')] },
  'fp8-tensor': { modifiers: [pack('fp8-tensor', blocks)] },
  'fp8-channel': { modifiers: [pack('fp8-channel', blocks)] },
  'fp8-block': { config: { hidden_size: 256 }, modifiers: [pack('fp8-block128', ['blocks.*.mlp.*'])] },
  mixture: {
    modifiers: [pack('int4-g64', ['blocks.*.mlp.*']), pack('int3-g32', ['blocks.*.attention.*']), int8Head],
  },
  'biases and int8': {
    config: { attention_bias: true, mlp_bias: true },
    modifiers: [pack('int8-channel', blocks)],
  },
  'tied head': { config: { tie_word_embeddings: true }, modifiers: [pack('int4-g64', blocks), int8Head] },
};

const ids = Array.from({ length: 24 }, (_, i) => (i * 31 + 5) % 96);

/** Of the weights as they are stored: what tools do to activations at run time differs in its rounding. */
function logits(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch([ids], { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

it('transformers opens our compressed-tensors checkpoints', async (context) => {
  if (!python) return context.skip('no Python with torch, transformers 5 and compressed-tensors');
  const directory = await mkdtemp(join(tmpdir(), 'frugal-interop-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const [models, results] = [join(directory, 'models'), join(directory, 'results')];
  await mkdir(results);
  for (const [name, { config, modifiers }] of Object.entries(cases)) {
    const model = createModel({ ...llama, ...config }, { seed: 7 });
    await compress(
      model,
      { version: 1, seed: 0, stages: [{ name, modifiers }] },
      { methods: [roundToNearest] },
    );
    await saveModel(model, join(models, name), { layout: 'compressed-tensors' });
    await withoutActivations(join(models, name, 'config.json'));
  }
  const { status, stderr } = spawnSync(python, [script, models, JSON.stringify(ids), results], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  const differences: Record<string, number> = {};
  for (const name of Object.keys(cases)) {
    const source = await openSafetensors(join(results, `${name}.safetensors`));
    const theirs = toFloat32(await source.read('logits'), 'F32');
    await source.close();
    const ours = await logits(await loadModel(join(models, name), { precise: true }));
    const scale = theirs.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    differences[name] = theirs.reduce((max, value, i) => Math.max(max, Math.abs(value - ours[i])), 0) / scale;
  }
  const wrong = Object.entries(differences).filter(([, difference]) => !(difference <= 2e-5));
  expect(wrong).toEqual([]);
});

async function withoutActivations(path: string): Promise<void> {
  const config = JSON.parse(await readFile(path, 'utf8'));
  for (const group of Object.values<Record<string, unknown>>(config.quantization_config.config_groups))
    group.input_activations = null;
  await writeFile(path, JSON.stringify(config));
}
