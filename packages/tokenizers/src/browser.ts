/** The part of `@frugal/tokenizers` that needs no file system. */
export { createTokenizer } from './create-tokenizer.js';
export type { AddedToken } from './definition.js';
export {
  ChatTemplateError,
  TokenizerError,
  type TokenizerErrorDetails,
  TokenizerFileError,
} from './errors.js';
export type { JsonObject, JsonValue } from './file/json.js';
export type { TokenizerParts } from './file/tokenizer-json.js';
export type { PretokenizerName } from './text/patterns.js';
export type { DecodeOptions, EncodeOptions, StreamingDecoder, Tokenizer } from './tokenizer.js';
export { type TrainingOptions, type TrainingProgress, trainByteLevelBpe } from './training/train.js';
