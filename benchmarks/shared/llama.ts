/** The Llama of 6.8 M parameters of the training benchmarks; `peers/torch_train_step.py` has the same. */
export const llama = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 256,
  intermediate_size: 688,
  num_hidden_layers: 6,
  num_attention_heads: 8,
  vocab_size: 4096,
  max_position_embeddings: 256,
  tie_word_embeddings: false,
} as const;

export const batch = { sequences: 8, tokens: 256 } as const;
