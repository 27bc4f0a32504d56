/** config.json of a small Llama, but for the size of its vocabulary: heads of 32, tied embeddings. */
export function smallLlama(width: number, layers: number, context: number): Record<string, unknown> {
  return {
    architectures: ['LlamaForCausalLM'],
    hidden_size: width,
    intermediate_size: 2.5 * width,
    num_hidden_layers: layers,
    num_attention_heads: width / 32,
    max_position_embeddings: context,
    tie_word_embeddings: true,
  };
}
