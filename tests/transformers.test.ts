import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { createModel, saveModel } from '@frugal/models';
import { noGrad, scope } from '@frugal/tensor-core';
import { type ModelConfig, stepBatch } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';

const root = fileURLToPath(new URL('..', import.meta.url));

const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 48,
  intermediate_size: 72,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 99,
  max_position_embeddings: 64,
};

const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 };

const python = findPython('import torch, transformers');

const cases: [name: string, config: ModelConfig][] = [
  ['untied', llama],
  ['tied, with biases', { ...llama, tie_word_embeddings: true, attention_bias: true, mlp_bias: true }],
  ['yarn', { ...llama, rope_scaling: yarn }],
  [
    'yarn, its attention factor from mscale',
    { ...llama, rope_scaling: { ...yarn, mscale: 0.7, mscale_all_dim: 1.3 } },
  ],
  [
    'yarn, all set',
    {
      ...llama,
      rope_scaling: { ...yarn, attention_factor: 1.7, beta_fast: 8, beta_slow: 2, truncate: false },
    },
  ],
  [
    'llama3 scaling',
    {
      ...llama,
      rope_theta: 5000,
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
    },
  ],
  ['linear scaling', { ...llama, rope_scaling: { rope_type: 'linear', factor: 2 } }],
];

it.for(cases)('transformers opens a checkpoint of ours: %s', async ([, config], context) => {
  if (!python) return context.skip('no Python with torch and transformers');
  const directory = await mkdtemp(join(tmpdir(), 'frugal-interop-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const model = createModel(config, { seed: 7 });
  await saveModel(model, join(directory, 'model'));
  const ids = Array.from({ length: 40 }, (_, i) => (i * 31 + 5) % 99);
  const output = join(directory, 'logits.safetensors');
  const { status, stderr } = spawnSync(
    python,
    [join(root, 'oracles/open_model.py'), join(directory, 'model'), JSON.stringify(ids), output],
    { encoding: 'utf8' },
  );
  expect(status, stderr).toBe(0);
  const source = await openSafetensors(output);
  const theirs = toFloat32(await source.read('logits'), 'F32');
  await source.close();
  const ours = await scope(() =>
    noGrad(() => model.forward(stepBatch([ids], { vocabularySize: 99 })).logits()),
  ).toFloat32();
  const scale = theirs.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const difference = theirs.reduce((max, value, i) => Math.max(max, Math.abs(value - ours[i])), 0);
  expect(difference).toBeLessThan(2e-5 * scale);
});
