import {
  type ChatExample,
  ExampleSampler,
  encodeChat,
  encodeDocument,
  readTuningData,
  SequenceSampler,
  type TokenExample,
  type TuningData,
} from '@frugal/data';
import type { BatchSource } from '@frugal/tensor-core/nn';
import { chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import { CommandError } from '../errors.js';
import type { TrainingConfig } from './config.js';

type Sizes = Pick<TrainingConfig, 'sequence' | 'batch' | 'accumulate' | 'seed'>;

/** Tokens that a model is tuned on. */
export interface TuningSet {
  readonly kind: TuningData['kind'];
  /** Conversations or documents. */
  readonly records: number;
  /** Of one epoch. */
  readonly tokens: number;
  /** Tokens of one epoch that are predicted. */
  readonly targets: number;
  /** Sequences that were cut to the length of the training, and those that lost all answers by it. */
  readonly cut: number;
  readonly dropped: number;
  /** Steps of one epoch. */
  stepsPerEpoch(sizes: Sizes): number;
  batches(sizes: Sizes): BatchSource;
}

/**
 * Reads and tokenizes files of conversations or text.
 * @throws DataError for what cannot be read, CommandError when nothing is left to learn
 */
export async function openTuningSet(
  files: readonly string[],
  tokenizer: Tokenizer,
  length: number,
): Promise<TuningSet> {
  const data = await readTuningData(files);
  return data.kind === 'text'
    ? textSet(data, tokenizer, files.join(', '))
    : chatSet(data.examples, tokenizer, length, files.join(', '));
}

/** Conversations in tokens: `kept` are those that, cut to `length`, have an answer left. */
export function encodeConversations(
  examples: readonly ChatExample[],
  tokenizer: Tokenizer,
  length: number,
): { readonly all: readonly TokenExample[]; readonly kept: readonly TokenExample[] } {
  const template = chatTemplate(tokenizer);
  const all = examples.flatMap((example) => encodeChat(example, tokenizer, template));
  const cut = all.map(({ tokens, targets }) => ({
    tokens: tokens.slice(0, length),
    targets: targets.slice(0, length),
  }));
  return { all, kept: cut.filter(({ targets }) => learned(targets) > 0) };
}

/** @throws CommandError when no answer lies within `length` */
export function chatSet(
  examples: readonly ChatExample[],
  tokenizer: Tokenizer,
  length: number,
  where: string,
): TuningSet {
  const { all, kept } = encodeConversations(examples, tokenizer, length);
  if (kept.length === 0)
    throw new CommandError({
      where,
      what: 'no answer lies within the length of a sequence',
      got: `${all.length} sequences`,
      hint: 'Use a larger --sequence.',
    });
  const sum = (of: (example: TokenExample) => number) => kept.reduce((total, each) => total + of(each), 0);
  return {
    kind: 'chat',
    records: examples.length,
    tokens: sum(({ tokens }) => tokens.length),
    targets: sum(({ targets }) => learned(targets)),
    cut: all.filter(({ tokens }) => tokens.length > length).length,
    dropped: all.length - kept.length,
    stepsPerEpoch: ({ batch, accumulate }) => kept.length / (batch * accumulate),
    batches: ({ batch, seed }) => new ExampleSampler(kept, { batch, seed }),
  };
}

function textSet(
  { kind, documents }: Extract<TuningData, { kind: 'text' }>,
  tokenizer: Tokenizer,
  where: string,
): TuningSet {
  const separator = tokenizer.eosIds[0] ?? tokenizer.bosId;
  const parts = documents.map(({ text }) => {
    const ids = encodeDocument(tokenizer, text);
    return separator === undefined ? ids : withFirst(separator, ids);
  });
  const tokens = new Int32Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    tokens.set(part, at);
    at += part.length;
  }
  if (tokens.length === 0)
    throw new CommandError({
      where,
      what: 'there is no text to learn',
      got: `${documents.length} documents`,
    });
  return {
    kind,
    records: documents.length,
    tokens: tokens.length,
    targets: tokens.length,
    cut: 0,
    dropped: 0,
    stepsPerEpoch: ({ sequence, batch, accumulate }) => tokens.length / (sequence * batch * accumulate),
    batches: ({ sequence, batch, seed }) => new SequenceSampler(tokens, { length: sequence, batch, seed }),
  };
}

function learned(targets: Int32Array): number {
  return targets.reduce((count, target) => count + Number(target !== -100), 0);
}

function withFirst(first: number, ids: Int32Array): Int32Array {
  const all = new Int32Array(ids.length + 1);
  all[0] = first;
  all.set(ids, 1);
  return all;
}
