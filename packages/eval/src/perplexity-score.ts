import type { CausalLM, Score } from '@frugal/tensor-core/nn';
import { type PerplexityOptions, tokenLoss } from './perplexity.js';

/** Perplexity on token windows as a score of language models, for reports and searches. */
export function perplexityScore(
  windows: readonly Int32Array[],
  options: Omit<PerplexityOptions, 'context'> = {},
): Score {
  return {
    name: 'perplexity',
    higherIsBetter: false,
    evaluate: async (model) => Math.exp((await tokenLoss(model as CausalLM, windows, options)).nll),
  };
}
