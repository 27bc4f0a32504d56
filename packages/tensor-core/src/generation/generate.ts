import { ArgumentError, keep, noGrad, scope } from '../index.js';
import { type CausalLM, stepBatch } from '../nn/index.js';
import { PagedKVCache } from './paged-cache.js';
import { checkSampling, type SamplingOptions, sampleToken } from './sampling.js';

export interface GenerateOptions extends SamplingOptions {
  readonly maxTokens: number;
  /** Token ids that end the text; they are yielded as the last token. */
  readonly stopIds?: readonly number[];
  readonly signal?: AbortSignal;
  /** Prompt tokens per step. */
  readonly prefillChunk?: number;
}

/**
 * Tokens that follow a prompt, one by one.
 * @throws ArgumentError when prompt and maxTokens do not fit into the model's context
 */
export async function* generate(
  model: CausalLM,
  prompt: ArrayLike<number>,
  options: GenerateOptions,
): AsyncGenerator<number> {
  const { maxTokens, stopIds = [], signal, prefillChunk = 512 } = options;
  checkSampling(options);
  if (prompt.length === 0)
    throw new ArgumentError({
      where: 'generate',
      what: 'the prompt is empty',
      hint: 'Start with the BOS token.',
    });
  if (prompt.length + maxTokens > model.contextLength) {
    throw new ArgumentError({
      where: 'generate',
      what: 'prompt and new tokens do not fit into the context',
      got: `${prompt.length} + ${maxTokens} tokens`,
      expected: `at most ${model.contextLength}`,
      hint: 'Shorten the prompt or lower maxTokens.',
    });
  }
  const backend = model.parameters()[0]?.value.backend;
  const cache = new PagedKVCache(model.cacheSpec, {
    tokens: prompt.length + maxTokens,
    dtype: model.computeDType,
    backend,
  });
  const sequence = cache.open();
  try {
    let next: number[] = Array.from(prompt);
    for (let index = 0; index < maxTokens && !signal?.aborted; index++) {
      while (next.length > prefillChunk) {
        forward(model, cache, sequence, next.slice(0, prefillChunk), []).dispose();
        next = next.slice(prefillChunk);
      }
      const logits = forward(model, cache, sequence, next, 'last');
      const values = await logits.toFloat32();
      logits.dispose();
      const token = sampleToken(values, options, index);
      yield token;
      if (stopIds.includes(token)) return;
      next = [token];
    }
  } finally {
    cache.dispose();
  }
}

function forward(
  model: CausalLM,
  cache: PagedKVCache,
  sequence: number,
  tokens: number[],
  logits: 'last' | [],
) {
  return scope(() =>
    noGrad(() => {
      const startPositions = [cache.length(sequence)];
      const view = cache.extend([sequence], [tokens.length]);
      const { backend } = view.pageTable;
      const batch = stepBatch([tokens], {
        vocabularySize: model.vocabularySize,
        logits,
        startPositions,
        cache: view,
        backend,
      });
      const output = model.forward(batch);
      return keep(logits === 'last' ? output.logits() : output.hidden);
    }),
  );
}
