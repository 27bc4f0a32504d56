/** A Llama of two blocks, for methods that need layers of a model and not its answers. */
export const tinyLlama = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 50,
};

/** Of four blocks with grouped heads, for methods that take heads, neurons or blocks away. */
export const fourBlockLlama = {
  ...tinyLlama,
  intermediate_size: 48,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
