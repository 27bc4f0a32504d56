import { createModel } from '@frugal/models';
import { fill } from '@frugal/tensor-core';
import type { LoadedModel } from '../../src/index.js';

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 260,
  max_position_embeddings: 256,
};
const E = new TextEncoder();
export function byteTokenizer(): any {
  return {
    encode: (t: string, o: any = {}) => [...(o.addSpecialTokens === false ? [] : [256]), ...E.encode(t)],
    endIds: [257],
    endId: 257,
    tokenBytes: (id: number) => (id < 256 ? Uint8Array.of(id) : E.encode(`<${id}>`)),
    streamingDecoder: () => {
      const d = new TextDecoder();
      return {
        push: (id: number) => (id < 256 ? d.decode(Uint8Array.of(id), { stream: true }) : ''),
        flush: () => d.decode(),
      };
    },
  };
}
export function tinyModel(options: Partial<LoadedModel> & { seed?: number } = {}): LoadedModel {
  const { seed = 1, ...rest } = options;
  return {
    name: 'tiny',
    model: createModel(tinyConfig, { seed }),
    tokenizer: byteTokenizer(),
    ...rest,
  };
}

/** A model whose logits are not numbers. */
export function brokenModel(): LoadedModel {
  const loaded = tinyModel({ name: 'broken' });
  for (const parameter of loaded.model.parameters()) parameter.value = fill(parameter.value, Number.NaN);
  return loaded;
}

export function chatModel(options: Parameters<typeof tinyModel>[0] = {}): LoadedModel {
  const chatTemplate: any = {
    render: (m: any[]) => `${m.map((x) => `${x.role}: ${x.content}\n`).join('')}assistant: `,
  };
  return tinyModel({ chatTemplate, ...options });
}
