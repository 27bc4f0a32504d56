import type { AddedToken } from './definition.js';
import type { JsonObject } from './file/json.js';

export interface EncodeOptions {
  /** Add what the tokenizer puts around a text, such as BOS. Default true. */
  readonly addSpecialTokens?: boolean;
  /**
   * Whether text such as `<|im_end|>` becomes the special token. Default true. Use false for text that others wrote:
   * then it is spelled with ordinary tokens.
   */
  readonly parseSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Gives out text token by token: whole characters only, and together exactly what `decode` gives. */
export interface StreamingDecoder {
  /** Adds a token and returns the text that is settled by it, often empty for parts of a character. */
  push(id: number): string;
  /** Ends the text and returns what is left (a broken character as U+FFFD). The decoder can then be used again. */
  flush(): string;
}

/** Text ↔ ids. Made by `loadTokenizer`, `createTokenizer`, `trainByteLevelBpe` or `tokenizerFromGguf`. */
export interface Tokenizer {
  /** Number of rows that an embedding needs: one more than the highest id. Ids may have gaps. */
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  /** Ids that end generation, the tokenizer's own first; empty when there is none. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  /** Control tokens, by id. */
  readonly specialTokens: readonly AddedToken[];
  /** All tokens that are found in text whole, special ones among them, by id. */
  readonly addedTokens: readonly AddedToken[];
  /** Tokens by their role in the configuration, such as `bos_token`; chat templates read them. */
  readonly namedTokens: Readonly<Record<string, string>>;
  /** Chat templates by name, in Jinja; `default` is the usual one. */
  readonly chatTemplates: Readonly<Record<string, string>>;
  /**
   * SHA-256 (hexadecimal) of all that decides which ids a text gets and which text ids give: vocabulary, merges, added
   * tokens, pipeline. Equal for a tokenizer before and after saving; chat templates do not count.
   */
  readonly fingerprint: string;

  /** Ids of a text. A lone surrogate counts as U+FFFD. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /**
   * Text of ids. Invalid UTF-8 becomes U+FFFD; ids without a token (padding of the vocabulary) give nothing.
   * @throws TokenizerError for what is no integer from 0
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  streamingDecoder(options?: DecodeOptions): StreamingDecoder;
  idOf(token: string): number | undefined;
  /** The token as the vocabulary writes it (`Ġthe`, `▁the`), or undefined. */
  tokenOf(id: number): string | undefined;
  /** The bytes that a token adds in the middle of a text; of a special token its name. Empty for ids without a token. */
  tokenBytes(id: number): Uint8Array;
  isSpecial(id: number): boolean;
  /** tokenizer.json as an object. */
  toJSON(): JsonObject;
  /** Names and texts of the files that `saveTokenizer` writes: tokenizer.json and tokenizer_config.json. */
  files(): Record<string, string>;
}
