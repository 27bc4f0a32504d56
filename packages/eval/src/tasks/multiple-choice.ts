import { createHash } from 'node:crypto';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { TaskError } from '../errors.js';
import {
  type ContinuationRequest,
  longestSequence,
  type ScoringOptions,
  scoreContinuations,
} from '../scoring/continuations.js';
import { languageOf, type MultipleChoiceItem, type PromptLanguage } from './item.js';
import {
  type ChoiceStyle,
  continuationOf,
  multipleChoicePrompt,
  type PromptStyle,
} from './multiple-choice-prompt.js';

export interface MultipleChoiceOptions extends ScoringOptions {
  /** Default `letter`. */
  readonly style?: ChoiceStyle | undefined;
  /** Default: that of the questions. */
  readonly language?: PromptLanguage | undefined;
  /** Solved examples before each question; default 0. Of its own subject where there are any, never the item itself. */
  readonly shots?: number | undefined;
  readonly examples?: readonly MultipleChoiceItem[] | undefined;
  readonly onProgress?: ((event: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** What a model made of one item. */
export interface ChoiceResult {
  readonly id: string;
  readonly subject?: string | undefined;
  readonly answer: number;
  /** The most likely choice, and the most likely one per UTF-8 byte (lm-evaluation-harness: acc and acc_norm). */
  readonly chosen: number;
  readonly chosenPerByte: number;
  /** log p of each choice, in nats. */
  readonly logLikelihoods: readonly number[];
  /** Examples that fitted into the context. */
  readonly shots: number;
  /** First 16 hexadecimal digits of SHA-256 of prompt and choices: equal hashes were asked the same. */
  readonly promptHash: string;
}

/**
 * Lets a model choose by likelihood: the choice whose continuation it gives the highest probability. Examples that do not fit
 * into the context are left out, the last ones first, and counted in `shots`.
 * @throws TaskError when a question alone does not fit
 */
export async function chooseByLikelihood(
  model: CausalLM,
  tokenizer: Pick<Tokenizer, 'encode'>,
  items: readonly MultipleChoiceItem[],
  options: MultipleChoiceOptions = {},
): Promise<ChoiceResult[]> {
  const language = options.language ?? languageOf(items.map(({ question }) => question));
  const style = { style: options.style ?? 'letter', language };
  const asked = items.map((item) => fit(item, examplesFor(item, options), { model, tokenizer, style }));
  const results: ChoiceResult[] = [];
  for await (const scores of scoreContinuations(model, tokenizer, asked, options)) {
    const item = items[results.length];
    const { shots, prompt, continuations } = asked[results.length];
    const logLikelihoods = scores.map(({ logLikelihood }) => logLikelihood);
    const bytes = continuations.map((text) => Buffer.byteLength(text));
    results.push({
      id: item.id,
      ...(item.subject !== undefined && { subject: item.subject }),
      answer: item.answer,
      chosen: indexOfLargest(logLikelihoods),
      chosenPerByte: indexOfLargest(logLikelihoods.map((value, i) => value / bytes[i])),
      logLikelihoods,
      shots,
      promptHash: hashOf([prompt, ...continuations]),
    });
    options.onProgress?.({ done: results.length, total: items.length });
  }
  return results;
}

/** The first `shots` examples of the item's subject, or of all where its subject has none. */
export function examplesFor(
  item: MultipleChoiceItem,
  { shots = 0, examples = [] }: Pick<MultipleChoiceOptions, 'shots' | 'examples'>,
): readonly MultipleChoiceItem[] {
  const others = examples.filter(({ question }) => question !== item.question);
  const own = others.filter(({ subject }) => subject === item.subject);
  return (own.length > 0 ? own : others).slice(0, shots);
}

/** SHA-256 of texts, shortened to what tells prompts apart. */
export function hashOf(texts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex').slice(0, 16);
}

interface Fitting {
  readonly model: CausalLM;
  readonly tokenizer: Pick<Tokenizer, 'encode'>;
  readonly style: PromptStyle;
}

function fit(
  item: MultipleChoiceItem,
  examples: readonly MultipleChoiceItem[],
  { model, tokenizer, style }: Fitting,
): ContinuationRequest & { readonly shots: number } {
  const continuations = item.choices.map((_, choice) => continuationOf(item, choice, style));
  for (let shots = examples.length; ; shots--) {
    const request = { prompt: multipleChoicePrompt(item, examples.slice(0, shots), style), continuations };
    const length = longestSequence(tokenizer, request);
    if (length <= model.contextLength) return { ...request, shots };
    if (shots > 0) continue;
    throw new TaskError({
      where: `item ${item.id}`,
      what: 'the question does not fit into the context of the model',
      got: `${length} tokens`,
      expected: `at most ${model.contextLength}`,
      hint: 'Leave the item out.',
    });
  }
}

function indexOfLargest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}
