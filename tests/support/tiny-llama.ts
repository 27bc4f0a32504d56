/** A Llama of two blocks, for methods that need layers of a model and not its answers. */
export const tinyLlama = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 50,
};
