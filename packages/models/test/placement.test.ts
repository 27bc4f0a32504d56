import { cpuBackend } from '@frugal/backend-cpu';
import { type Backend, noGrad, PackedTensor, Random, scope, setBackend, transfer } from '@frugal/tensor-core';
import { generateBatch } from '@frugal/tensor-core/generation';
import { type CausalLM, type Linear, PackedLinear, placeBlocks, stepBatch } from '@frugal/tensor-core/nn';
import { beforeEach, describe, expect, it } from 'vitest';
import { createModel } from '../src/index.js';

const shared = {
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 61,
  max_position_embeddings: 128,
};
const families = {
  llama: { ...shared, architectures: ['LlamaForCausalLM'], tie_word_embeddings: true },
  // Two rotary tables, windows, norms of heads, a scale on the embeddings.
  gemma3: {
    ...shared,
    architectures: ['Gemma3ForCausalLM'],
    model_type: 'gemma3_text',
    head_dim: 8,
    sliding_window: 8,
    layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
  },
} as const;

const prompt = Array.from({ length: 21 }, (_, i) => (7 * i) % 61);

/** Two backends that give the same bits: kernels do not depend on the number of threads. */
let home: Backend;
let other: Backend;

beforeEach((context) => {
  try {
    home = cpuBackend({ threads: 1 });
    other = cpuBackend({ threads: 2, minimumWork: 0 });
  } catch (error) {
    context.skip((error as Error).message);
  }
  setBackend(home);
});

async function logitsOf(model: CausalLM): Promise<number[]> {
  const batch = stepBatch([prompt], { vocabularySize: 61, collect: new Set(['blocks.1.hidden']) });
  const output = model.forward(batch);
  expect(output.collected.get('blocks.1.hidden')?.backend).toBe(home);
  return [...(await output.logits().toFloat32())];
}

async function tokensOf(model: CausalLM): Promise<number[]> {
  const ids: number[] = [];
  const requests = [prompt, prompt.slice(3, 9)].map((tokens) => ({ prompt: tokens, maxTokens: 12 }));
  for await (const { id } of generateBatch(model, requests)) ids.push(id);
  return ids;
}

/** Packs some layers, as a quantised checkpoint has them. */
async function pack(model: CausalLM): Promise<void> {
  for (const path of ['blocks.1.mlp.up', 'blocks.2.attention.query']) {
    const layer = model.module(path) as Linear;
    const values = await layer.effectiveWeight().toFloat32();
    const weight = PackedTensor.pack('q4_1', values, [layer.outFeatures, layer.inFeatures]);
    model.replace(path, new PackedLinear(weight.prepare(), { activation: 'int8-block32' }));
  }
}

describe('blocks on two backends', () => {
  it.each(Object.entries(families))('give the logits and the text of one: %s', async (_, config) => {
    const model = createModel(config, { seed: 5 });
    await pack(model);
    const expected = [await logitsOf(model), await tokensOf(model)];
    await placeBlocks(model, [
      { first: 0, last: 0, backend: other },
      { first: 2, last: 2, backend: other },
    ]);
    expect(model.blocks[2].parameters()[0].value.backend).toBe(other);
    const packed = model.module('blocks.2.attention.query') as PackedLinear;
    expect([packed.weight.backend, packed.weight.layout]).toEqual([other, 'rows16']);
    expect([await logitsOf(model), await tokensOf(model)]).toEqual(expected);
    await placeBlocks(model, []);
    expect(model.placement).toBeUndefined();
    expect([await logitsOf(model), await tokensOf(model)]).toEqual(expected);
  });

  it('passes gradients back across', async () => {
    const gradientsOf = async (model: CausalLM) => {
      const batch = stepBatch([prompt], { vocabularySize: 61 });
      model.forward(batch).logits().pow(2).sum().backward();
      return Promise.all(
        model.parameters().map(async ({ gradient }) => [...((await gradient?.toFloat32()) ?? [])]),
      );
    };
    const one = await gradientsOf(createModel(families.llama, { seed: 6 }));
    const spread = createModel(families.llama, { seed: 6 });
    await placeBlocks(spread, [{ first: 1, last: 2, backend: other }]);
    expect(await gradientsOf(spread)).toEqual(one);
    expect(one.every((values) => values.some((value) => value !== 0))).toBe(true);
  });

  it('refuses blocks that do not exist or are named twice', async () => {
    const model = createModel(families.llama, { seed: 5 });
    await expect(placeBlocks(model, [{ first: 2, last: 4, backend: other }])).rejects.toThrow(
      /no such blocks.*2 to 4.*0 to 3/s,
    );
    const twice = [0, 1].map((first) => ({ first, last: 2, backend: other }));
    await expect(placeBlocks(model, twice)).rejects.toThrow('block 1 is placed twice');
    expect(model.blocks[0].parameters()[0].value.backend).toBe(home);
  });

  it('does not transfer what cannot be read at once', () => {
    const later: Backend = Object.create(home, { readSync: { value: undefined }, name: { value: 'later' } });
    const x = scope(() => noGrad(() => new Random(1).normal([2], { backend: later })));
    expect(() => transfer(x, other)).toThrow(/later cannot be read at once/);
  });
});
