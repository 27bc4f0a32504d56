import { ArgumentError } from '@frugal/tensor-core';
import { type Encoder, modelBytes, type Pooling } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { ModelCard } from './contract.js';

/**
 * A model to serve that reads texts: one with a classifier tells classes, any other gives vectors. It stays the caller's. Of a
 * checkpoint, `encoderUse` of `@frugal/models` says the rest.
 */
export interface LoadedEncoder {
  /** What requests call it. */
  readonly name: string;
  readonly encoder: Encoder;
  readonly tokenizer: Tokenizer;
  /** Default `mean`. */
  readonly pooling?: Pooling | undefined;
  /** Whether vectors are divided by their length. Default false. */
  readonly normalize?: boolean | undefined;
  /** In tokens, those that the tokenizer adds included. Default, and at most: the model's own. */
  readonly contextLength?: number | null | undefined;
  /** What stands before each text. Default nothing. */
  readonly prefix?: string | undefined;
  /** Default false. */
  readonly lowerCase?: boolean | undefined;
  /** Names of the classes; default `LABEL_0` and so on. */
  readonly labels?: readonly string[] | null | undefined;
  /** What makes scores of the classes. Default `softmax`. */
  readonly activation?: 'softmax' | 'sigmoid' | 'none' | undefined;
}

/** @throws ArgumentError when parts do not belong together */
export function encoderCard(loaded: LoadedEncoder): ModelCard {
  const { name, encoder, tokenizer, labels, contextLength } = loaded;
  const fail = (what: string, got: unknown, expected: unknown): never => {
    throw new ArgumentError({
      where: 'engine',
      what: `${what} of ${name}`,
      got: String(got),
      expected: String(expected),
    });
  };
  if (tokenizer.vocabularySize > encoder.vocabularySize) {
    fail('ids of the tokenizer', tokenizer.vocabularySize, `at most ${encoder.vocabularySize}`);
  }
  const { classes } = encoder;
  if (labels && classes !== null && labels.length !== classes)
    fail('names of the classes', labels.length, classes);
  const longest = contextLength ?? encoder.contextLength;
  if (!(Number.isInteger(longest) && longest > 0 && longest <= encoder.contextLength)) {
    fail('contextLength', longest, `1 to ${encoder.contextLength}`);
  }
  return {
    name,
    task: classes === null ? 'embed' : 'classify',
    contextLength: longest,
    weightBytes: modelBytes(encoder),
    created: Math.floor(Date.now() / 1000),
    chat: false,
    roles: false,
    toolFormat: null,
    adapters: [],
    loaded: true,
    ...(classes === null
      ? { dimensions: encoder.embed.size }
      : { labels: labels ?? Array.from({ length: classes }, (_, id) => `LABEL_${id}`) }),
  };
}
