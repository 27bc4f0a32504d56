import { generate, type SamplingOptions } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import { integer, number } from './verb.js';

export interface GenerationOptions extends SamplingOptions {
  /** Default: what the context leaves, at most 128. */
  readonly maxTokens?: number | undefined;
}

export interface Generated {
  /** New ids; an end-of-text token is the last of them. */
  readonly ids: readonly number[];
  readonly text: string;
  /** From the start to the first token, and from there to the last. */
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

/** `--max-tokens`, `--temperature`, `--top-p`, `--top-k`, `--seed`. */
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
    .option('--seed <N>', 'the same seed gives the same text', integer(), 0);
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

/** Continues a prompt, and hands text to `onText` as soon as it is certain. */
export async function continueText(
  { model, tokenizer }: { readonly model: CausalLM; readonly tokenizer: Tokenizer },
  prompt: ArrayLike<number>,
  { maxTokens, ...sampling }: GenerationOptions,
  { signal }: Pick<Context, 'signal'>,
  onText: (text: string) => void = () => {},
): Promise<Generated> {
  const limit = tokenLimit(model, prompt.length, maxTokens);
  const ids: number[] = [];
  const decoder = tokenizer.streamingDecoder({ skipSpecialTokens: true });
  const start = performance.now();
  let first = start;
  let text = '';
  const emit = (piece: string) => {
    text += piece;
    if (piece) onText(piece);
  };
  const options = {
    ...sampling,
    maxTokens: limit,
    stopIds: tokenizer.eosIds,
    signal,
  };
  for await (const id of generate(model, prompt, options)) {
    if (ids.length === 0) first = performance.now();
    ids.push(id);
    if (!tokenizer.eosIds.includes(id)) emit(decoder.push(id));
  }
  emit(decoder.flush());
  signal.throwIfAborted();
  return {
    ids,
    text,
    prefillSeconds: (first - start) / 1000,
    decodeSeconds: (performance.now() - first) / 1000,
  };
}

/** `41 tokens, 82.3 tok/s`: the first token counts to the prompt. */
export function describeSpeed({ ids, decodeSeconds }: Generated): string {
  const speed = ids.length > 1 ? `, ${((ids.length - 1) / decodeSeconds).toFixed(1)} tok/s` : '';
  return `${ids.length} token${ids.length === 1 ? '' : 's'}${speed}`;
}
