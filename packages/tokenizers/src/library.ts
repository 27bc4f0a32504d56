import * as exported from '@huggingface/tokenizers';
import type { JsonObject, JsonValue } from './file/json.js';

/**
 * The parts of `@huggingface/tokenizers` that this package uses. Its declarations name files without extension, which
 * TypeScript refuses in ES modules: what is used is declared here, in one place.
 */
interface Library {
  readonly SequenceNormalizer: new (config: JsonObject) => { normalize(text: string): string };
  readonly SplitPreTokenizer: new (config: JsonObject) => { readonly pattern: RegExp | null };
  readonly WordPiece: new (config: JsonObject) => { encode(words: string[]): string[] };
  readonly Unigram: new (
    config: JsonObject,
    eosToken: JsonValue | undefined,
  ) => { encode(words: string[]): string[] };
  readonly CTCDecoder: new (config: JsonObject) => { decode_chain(tokens: string[]): string[] };
}

export const { SequenceNormalizer, SplitPreTokenizer, WordPiece, Unigram, CTCDecoder } =
  exported as unknown as Library;
