import { ArgumentError } from '../index.js';
import type { CacheDType, CausalLM } from '../nn/index.js';
import type { Draft } from './draft.js';
import { modelCache } from './model-cache.js';
import { ModelSteps } from './model-step.js';
import { type AcceptedToken, RunningText } from './running-text.js';
import { checkSampler, type SamplerOptions } from './sampler.js';
import { computeTexts, type PlannedText } from './text-step.js';

/** One text to continue. */
export interface GenerationRequest extends SamplerOptions {
  readonly prompt: ArrayLike<number>;
  readonly maxTokens: number;
  /** Token ids that end the text; they are yielded as the last token. */
  readonly stopIds?: readonly number[] | undefined;
  /** Ends this text. */
  readonly signal?: AbortSignal | undefined;
}

export interface BatchOptions {
  /** Prompt tokens per step, of all texts together. Default 512; changes speed and memory, not the texts. */
  readonly prefillChunk?: number | undefined;
  /** How keys and values are stored. Default: `defaultCacheDType` of the model. */
  readonly cacheDType?: CacheDType | undefined;
  /** Guesses tokens: speed, not texts. Stays the caller's. */
  readonly draft?: Draft | undefined;
  /** Guesses per step at most; fewer are asked for where they fail. Default 8. */
  readonly draftTokens?: number | undefined;
}

export interface GeneratedToken extends AcceptedToken {
  /** Index of the request. */
  readonly request: number;
}

/**
 * Continues several texts at once; each gets the tokens it would get alone. Yields tokens as they come.
 * @throws ArgumentError for options out of range, and when a prompt and its maxTokens do not fit into the context;
 *   NonFiniteError for broken weights
 */
export async function* generateBatch(
  model: CausalLM,
  requests: readonly GenerationRequest[],
  options: BatchOptions = {},
): AsyncGenerator<GeneratedToken> {
  const { prefillChunk = 512, draft, draftTokens = 8, cacheDType } = options;
  requirePositive({ prefillChunk, draftTokens });
  for (const request of requests) checkRequest(request, model);
  if (requests.length === 0) return;
  const cache = modelCache(model, {
    spec: model.cacheSpec.slice(0, model.blocks.length),
    // Each text begins pages of its own.
    tokens: requests.reduce((sum, request) => sum + wholePages(request), 0),
    pageSize: PAGE,
    dtype: cacheDType,
  });
  const { vocabularySize } = model;
  const entries = requests.map((request, index) => ({
    index,
    sequence: cache.open(),
    text: new RunningText(request, { vocabularySize, draft, draftTokens }),
  }));
  const steps = new ModelSteps(model, cache);
  try {
    for (let running = entries; running.length > 0; ) {
      const planned = await planStep(running, prefillChunk);
      const choices = await computeTexts(steps, planned, draft?.collect);
      for (const [i, { text, index, sequence }] of planned.entries()) {
        for (const token of text.accept(choices[i])) yield { request: index, ...token };
        cache.truncate(sequence, text.computed);
      }
      running = running.filter(({ text }) => !text.isDone);
    }
  } finally {
    for (const { text } of entries) text.close();
    steps.dispose();
    cache.dispose();
  }
}

const PAGE = 16;

const wholePages = ({ prompt, maxTokens }: GenerationRequest): number =>
  Math.ceil((prompt.length + maxTokens) / PAGE) * PAGE;

interface TextEntry extends Omit<PlannedText, 'count'> {
  readonly index: number;
}

/** Which texts take part and with how many tokens. Texts past their prompt always do; prompts share what is left. */
async function planStep(
  running: readonly TextEntry[],
  prefillChunk: number,
): Promise<(TextEntry & PlannedText)[]> {
  for (const { text } of running) await text.guess();
  const decoding = running.filter(({ text }) => !text.isPrompt);
  let room = Math.max(1, prefillChunk - decoding.reduce((sum, { text }) => sum + text.pending, 0));
  const planned: (TextEntry & PlannedText)[] = [];
  for (const entry of running) {
    const { text } = entry;
    const count = text.isPrompt ? Math.min(text.pending, room) : text.pending;
    if (text.isPrompt) room -= count;
    if (count > 0) planned.push({ ...entry, count });
  }
  return planned;
}

function checkRequest(request: GenerationRequest, { contextLength, vocabularySize }: CausalLM): void {
  const { prompt, maxTokens } = request;
  checkSampler(request, vocabularySize);
  requirePositive({ maxTokens });
  if (prompt.length === 0) {
    throw new ArgumentError({
      where: 'generate',
      what: 'the prompt is empty',
      hint: 'Start with the BOS token.',
    });
  }
  if (prompt.length + maxTokens <= contextLength) return;
  throw new ArgumentError({
    where: 'generate',
    what: 'prompt and new tokens do not fit into the context',
    got: `${prompt.length} + ${maxTokens} tokens`,
    expected: `at most ${contextLength}`,
    hint: 'Shorten the prompt or lower maxTokens.',
  });
}

function requirePositive(values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (Number.isSafeInteger(value) && value > 0) continue;
    throw new ArgumentError({
      where: 'generate',
      what: `${name} out of range`,
      got: String(value),
      expected: 'an integer, 1 or more',
    });
  }
}
