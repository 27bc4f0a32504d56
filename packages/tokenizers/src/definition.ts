import type { JsonObject } from './file/json.js';
import type { Vocabulary } from './vocabulary.js';

/** A token that is found in the text before anything else, whole. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Control tokens: `skipSpecialTokens` leaves them out. */
  readonly special: boolean;
  /** Only between characters that are no letters, digits or underscores. */
  readonly singleWord: boolean;
  /** Takes the white space before it. */
  readonly stripLeft: boolean;
  /** Takes the white space after it. */
  readonly stripRight: boolean;
  /** Searched in the normalized text instead of the original. */
  readonly normalized: boolean;
}

export type ModelType = 'BPE' | 'WordPiece' | 'Unigram' | 'WordLevel';

/** Pairs of ids in order of priority: `[left₀, right₀, left₁, right₁, …]`. */
export type Merges = Int32Array;

/**
 * A tokenizer as checked data: what tokenizer.json and a GGUF vocabulary both become. Components stay in the words of
 * tokenizer.json; vocabulary, merges and scores are kept compactly beside them.
 */
export interface TokenizerDefinition {
  /** File or source, for messages. */
  readonly file: string;
  readonly modelType: ModelType;
  /** The model's options, without vocabulary and merges. */
  readonly model: JsonObject;
  /** The model's tokens, without added tokens of higher ids. */
  readonly vocabulary: Vocabulary;
  /** BPE only. */
  readonly merges: Merges;
  /** Unigram only, by id. */
  readonly scores?: Float64Array;
  readonly normalizer: JsonObject | null;
  readonly preTokenizer: JsonObject | null;
  readonly postProcessor: JsonObject | null;
  readonly decoder: JsonObject | null;
  readonly addedTokens: readonly AddedToken[];
  /** tokenizer_config.json. */
  readonly config: JsonObject;
  /** Contents by role: `bos_token`, `eos_token`, … */
  readonly namedTokens: Readonly<Record<string, string>>;
  /** Chat templates by name; `default` is the one used when none is named. */
  readonly chatTemplates: Readonly<Record<string, string>>;
  readonly bosId: number | undefined;
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  readonly unknownId: number | undefined;
}
