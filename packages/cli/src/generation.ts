import {
  type BatchOptions,
  generateBatch,
  type Logprobs,
  type SamplerOptions,
  TextStream,
} from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import { integer, number, Option } from './verb.js';

export interface GenerationOptions extends SamplerOptions {
  /** Default: what the context leaves, at most 128. */
  readonly maxTokens?: number | undefined;
  /** The text ends before the first of these. */
  readonly stop?: readonly string[] | undefined;
  readonly cacheDtype?: BatchOptions['cacheDType'];
  readonly draftTokens?: number | undefined;
}

/** A model that can talk. */
export interface Speaker {
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  readonly draft?: BatchOptions['draft'];
}

export interface Generated {
  /** New ids; an end-of-text token is the last of them. */
  readonly ids: readonly number[];
  readonly text: string;
  /** One per id, where they were asked for. */
  readonly logprobs: readonly Logprobs[];
  /** Tokens that the draft guessed. */
  readonly guessed: number;
  /** From the start to the first token, and from there to the last. */
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

/** How tokens are chosen and when they end, and how they are computed. */
export function addGenerationOptions(command: Command, defaults: { readonly temperature: number }): Command {
  return command
    .option(
      '--max-tokens <N>',
      'new tokens at most (default: what the context leaves, at most 128)',
      integer(1),
    )
    .option('--temperature <T>', '0: always the most likely token', number(0), defaults.temperature)
    .option('--top-p <P>', 'only the most likely tokens of this probability together', number(0, 1), 1)
    .option('--top-k <K>', 'only the K most likely tokens; 0: all', integer(), 0)
    .option('--min-p <P>', 'only tokens this likely beside the most likely one', number(0, 1), 0)
    .option('--repetition-penalty <X>', 'above 1: tokens of prompt and text less likely', number(0), 1)
    .option('--presence-penalty <X>', 'taken from the logits of what the text has', number(-100, 100), 0)
    .option('--frequency-penalty <X>', 'the same, times how often', number(-100, 100), 0)
    .option('--stop <TEXT...>', 'end before one of these texts')
    .option('--seed <N>', 'the same seed gives the same text', integer(), 0)
    .addOption(
      new Option(
        '--cache-dtype <DTYPE>',
        'of keys and values (default: f16 where layers quantize activations, else that of the activations)',
      ).choices(['f32', 'bf16', 'f16', 'q8']),
    )
    .option(
      '--draft <MODEL|lookup|mtp>',
      'what guesses tokens ahead: a smaller model, the text so far, or the multi-token prediction of the model',
    )
    .option('--draft-tokens <N>', 'guesses at a time, at most', integer(1), 8);
}

/**
 * How many tokens may follow a prompt.
 * @throws CommandError when prompt and new tokens do not fit into the context
 */
export function tokenLimit(
  { contextLength }: Pick<CausalLM, 'contextLength'>,
  promptTokens: number,
  maxTokens?: number,
): number {
  const room = contextLength - promptTokens;
  if (room < 1) {
    throw new CommandError({
      where: 'generate',
      what: 'the prompt fills the context of the model',
      got: `${promptTokens} tokens`,
      expected: `less than ${contextLength}`,
      hint: 'Shorten it.',
    });
  }
  if (maxTokens !== undefined && maxTokens > room) {
    throw new CommandError({
      where: 'generate',
      what: 'prompt and new tokens do not fit into the context',
      got: `${promptTokens} + ${maxTokens} tokens`,
      expected: `at most ${contextLength}`,
      hint: `Shorten the prompt, or lower --max-tokens to ${room}.`,
    });
  }
  return maxTokens ?? Math.min(128, room);
}

/** Continues a prompt, and hands text to `onText` as soon as it is certain. Ends early when the signal is aborted. */
export async function continueText(
  { model, tokenizer, draft }: Speaker,
  prompt: ArrayLike<number>,
  { maxTokens, stop, cacheDtype, draftTokens, ...sampling }: GenerationOptions,
  { signal }: Pick<Context, 'signal'>,
  onText: (text: string) => void = () => {},
): Promise<Generated> {
  const limit = tokenLimit(model, prompt.length, maxTokens);
  const stopIds = tokenizer.eosIds;
  const request = { ...sampling, prompt, maxTokens: limit, stopIds, signal };
  const stream = new TextStream(tokenizer.streamingDecoder({ skipSpecialTokens: true }), stop);
  const ids: number[] = [];
  const probabilities: Logprobs[] = [];
  const start = performance.now();
  let first = start;
  let guesses = 0;
  let text = '';
  const emit = (piece: string) => {
    text += piece;
    if (piece) onText(piece);
  };
  for await (const { id, guessed, logprobs } of generateBatch(model, [request], {
    draft,
    draftTokens,
    cacheDType: cacheDtype,
  })) {
    if (ids.length === 0) first = performance.now();
    ids.push(id);
    if (guessed) guesses++;
    if (logprobs) probabilities.push(logprobs);
    if (stopIds.includes(id)) break;
    const piece = stream.push(id);
    emit(piece.text);
    if (piece.stopped) break;
  }
  emit(stream.flush());
  return {
    ids,
    text,
    logprobs: probabilities,
    guessed: guesses,
    prefillSeconds: (first - start) / 1000,
    decodeSeconds: (performance.now() - first) / 1000,
  };
}

/** `41 tokens, 82.3 tok/s`: the first token counts to the prompt. */
export function describeSpeed({ ids, decodeSeconds, guessed }: Generated): string {
  const speed = ids.length > 1 ? `, ${((ids.length - 1) / decodeSeconds).toFixed(1)} tok/s` : '';
  const draft = guessed > 0 ? `, ${guessed} of them guessed` : '';
  return `${ids.length} token${ids.length === 1 ? '' : 's'}${speed}${draft}`;
}
