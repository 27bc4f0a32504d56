import type { CausalLM } from '../nn/index.js';
import { type BatchOptions, type GenerationRequest, generateBatch } from './generate-batch.js';

export interface GenerateOptions extends Omit<GenerationRequest, 'prompt' | 'logprobs'>, BatchOptions {}

/**
 * Tokens that follow a prompt, one by one; `generateBatch` does the same for several and tells more of each token.
 * @throws ArgumentError for options out of range, and when prompt and maxTokens do not fit into the model's context
 */
export async function* generate(
  model: CausalLM,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): AsyncGenerator<number> {
  for await (const { id } of generateBatch(model, [{ ...options, prompt }], options)) yield id;
}
