import { createModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 257,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
};

export function tinyModel(seed = 1): CausalLM {
  return createModel(tinyConfig, { seed });
}

/** One token per byte; 256 is BOS. */
export function byteTokenizer({ bos }: { bos: boolean }) {
  return {
    encode: (text: string) => Int32Array.from([...(bos ? [256] : []), ...new TextEncoder().encode(text)]),
    tokenBytes: (id: number) => (id < 256 ? Uint8Array.of(id) : new TextEncoder().encode('<bos>')),
    isSpecial: (id: number) => id === 256,
  };
}
