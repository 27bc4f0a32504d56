import type { CausalLM } from '@frugal/tensor-core/nn';
import type { ChatTemplate, Tokenizer } from '@frugal/tokenizers';

/** A model to serve. It stays the caller's: closing the engine does not dispose it. */
export interface LoadedModel {
  /** What requests call it. */
  readonly name: string;
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  /** How messages become a prompt; without it the model only continues text. */
  readonly chatTemplate?: ChatTemplate | undefined;
  /** Default, and at most: the model's own. */
  readonly contextLength?: number | undefined;
  /** Tokens that end an answer, in addition to the tokenizer's end of text. */
  readonly stopIds?: readonly number[] | undefined;
}
