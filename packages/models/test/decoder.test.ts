import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectNoLeaks, noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { PagedKVCache } from '@frugal/tensor-core/generation';
import { nextTokenLoss, type Parameter, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createModel, type DecoderModel, loadModel, ModelConfigError, saveModel } from '../src/index.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 50,
  max_position_embeddings: 64,
};
const vocabularySize = 50;
const tokens = Array.from({ length: 30 }, (_, i) => (i * 17 + 3) % vocabularySize);

function logitsOf(run: () => Tensor): Promise<Float32Array> {
  return scope(() => noGrad(run)).toFloat32();
}

function closeTo(a: Float32Array, b: Float32Array, tolerance = 1e-5): void {
  expect(a.length).toBe(b.length);
  for (const [i, x] of a.entries()) expect(Math.abs(x - b[i])).toBeLessThan(tolerance);
}

describe('DecoderModel', () => {
  it('gives the same logits in one pass, in chunks through the cache, and beside other sequences', async () => {
    const model = createModel(config, { seed: 3 });
    const whole = await logitsOf(() => model.forward(stepBatch([tokens], { vocabularySize })).logits());
    const cache = new PagedKVCache(model.cacheSpec, { tokens: 200, pageSize: 4 });
    const [mine, other] = [cache.open(), cache.open()];
    let position = 0;
    for (const count of [7, 1, 1, 12, 9]) {
      const chunk = tokens.slice(position, position + count);
      const noise = tokens.slice(0, 3).reverse();
      const startPositions = [cache.length(other), position];
      const view = cache.extend([other, mine], [noise.length, count]);
      const logits = await logitsOf(() =>
        model.forward(stepBatch([noise, chunk], { vocabularySize, startPositions, cache: view })).logits(),
      );
      closeTo(
        logits.subarray(noise.length * vocabularySize),
        whole.subarray(position * vocabularySize, (position + count) * vocabularySize),
      );
      position += count;
    }
    cache.dispose();
    model.dispose();
  });

  it('recomputes blocks backward to the same gradients', async () => {
    const model = createModel(config, { seed: 5 }) as DecoderModel;
    const gradients = async () => {
      scope(() => {
        const { hidden } = model.forward(stepBatch([tokens.slice(0, -1)], { vocabularySize }));
        nextTokenLoss(hidden, model.head, tensor(Int32Array.from(tokens.slice(1)))).backward();
      });
      const values = await Promise.all(
        model.parameters().map(({ gradient }) => (gradient as Tensor).toFloat32()),
      );
      for (const parameter of model.parameters()) parameter.clearGradient();
      return values;
    };
    const plain = await gradients();
    for (const recompute of [true, { keepBytes: 2_000 }, { keepBytes: 2e6 }]) {
      model.recompute = recompute;
      expect(await gradients()).toEqual(plain);
    }
    model.dispose();
  });

  it('leaves nothing behind', async () => {
    await expectNoLeaks(async () => {
      const model = createModel(config, { seed: 1 });
      const loss = scope(() => {
        const { hidden } = model.forward(stepBatch([tokens.slice(0, -1)], { vocabularySize }));
        const sum = nextTokenLoss(hidden, model.head, tensor(Int32Array.from(tokens.slice(1))));
        sum.backward();
        return sum.detach();
      });
      expect(await loss.item()).toBeGreaterThan(0);
      loss.dispose();
      model.dispose();
    });
  });

  it('is made from seed, path and shape alone', async () => {
    const values = (model: ReturnType<typeof createModel>, path: string) =>
      (new Map(model.namedParameters()).get(path) as Parameter).value.toFloat32();
    const path = 'blocks.1.mlp.up.weight';
    const deep = createModel({ ...config, num_hidden_layers: 4 }, { seed: 1 });
    expect(await values(createModel(config, { seed: 1 }), path)).toEqual(await values(deep, path));
    expect(await values(createModel(config, { seed: 2 }), path)).not.toEqual(await values(deep, path));
  });
});

describe('bad checkpoints and configs', () => {
  const quantization = (change: object) => ({
    quant_method: 'compressed-tensors',
    format: 'int-quantized',
    config_groups: {
      group_0: {
        targets: ['Linear'],
        weights: {
          num_bits: 8,
          type: 'int',
          symmetric: true,
          strategy: 'channel',
          dynamic: false,
          ...change,
        },
        input_activations: null,
      },
    },
  });

  async function saved(change: (config: Record<string, unknown>) => void): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'frugal-config-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const path = join(directory, 'model');
    await saveModel(createModel(config, { seed: 1 }), path);
    const file = join(path, 'config.json');
    const json = JSON.parse(await readFile(file, 'utf8'));
    change(json);
    await writeFile(file, JSON.stringify(json));
    return path;
  }

  it.each([
    [
      'an unknown architecture, with the known ones',
      (c: Record<string, unknown>) => (c.architectures = ['GPT2LMHeadModel']),
      /GPT2LMHeadModel.*LlamaForCausalLM/,
    ],
    ['a field that may change the result, by name', (c) => (c.logit_scale = 0.5), /logit_scale/],
    ['a field of the wrong type', (c) => (c.hidden_size = '24'), /hidden_size.*"24"/],
    ['an unknown rope scaling', (c) => (c.rope_scaling = { rope_type: 'magic' }), /rope_type.*magic.*yarn/],
    [
      'two rotary settings',
      (c) =>
        Object.assign(c, {
          rope_scaling: { rope_type: 'linear', factor: 2 },
          rope_parameters: { rope_theta: 500 },
        }),
      /both rope_parameters/,
    ],
    ['heads rotated in part', (c) => (c.partial_rotary_factor = 0.5), /partial_rotary_factor.*0\.5/],
    ['a rope factor of 0', (c) => (c.rope_scaling = { rope_type: 'linear', factor: 0 }), /rotary settings/],
    [
      'heads of a fractional size',
      (c) => Object.assign(c, { num_attention_heads: 5, num_key_value_heads: 5 }),
      /head_dim.*4\.8/,
    ],
    ['heads of an odd size', (c) => (c.head_dim = 5), /head_dim.*5.*even/],
    ['dropout that training would leave out', (c) => (c.attention_dropout = 0.1), /attention_dropout.*0\.1/],
    [
      'a quantisation of another width',
      (c) => (c.quantization_config = quantization({ num_bits: 5 })),
      /num_bits.*got 5.*expected 2, 3, 4, 8/,
    ],
    [
      'a quantised KV cache',
      (c) => (c.quantization_config = { ...quantization({}), kv_cache_scheme: { num_bits: 8 } }),
      /kv_cache_scheme/,
    ],
    ['heads that do not divide', (c) => (c.num_key_value_heads = 3), /multiple/],
    [
      'all weights of other shapes at once',
      (c) => Object.assign(c, { intermediate_size: 41, vocab_size: 51 }),
      /embed_tokens[\s\S]*gate_proj/,
    ],
    ['missing layers', (c) => (c.num_hidden_layers = 3), /missing model\.layers\.2/],
    ['surplus layers', (c) => (c.num_hidden_layers = 1), /unknown model\.layers\.1/],
  ] as [string, (c: Record<string, unknown>) => unknown, RegExp][])(
    'refuses %s',
    async (_, change, message) => {
      const path = await saved(change);
      const attempt = loadModel(path);
      await expect(attempt).rejects.toThrow(ModelConfigError);
      await expect(attempt).rejects.toThrow(message);
    },
  );

  it('refuses token ids outside the vocabulary and empty sequences', () => {
    expect(() => stepBatch([[1, 50]], { vocabularySize })).toThrow(/position 1.*got 50.*0 to 49/);
    expect(() => stepBatch([[]], { vocabularySize })).toThrow(/empty/);
  });
});
