/** The part of `@frugal/tokenizers` that needs no file system. */

export {
  type ApplyOptions,
  type ChatTemplate,
  type ChatTemplateOptions,
  chatTemplate,
} from './chat/chat-template.js';
export type { ChatMessage } from './chat/messages.js';
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
export { tokenizerFromGguf } from './gguf/from-gguf.js';
export { type GgufField, tokenizerToGguf } from './gguf/to-gguf.js';
export type { PretokenizerName } from './text/patterns.js';
export type { DecodeOptions, EncodeOptions, StreamingDecoder, Tokenizer } from './tokenizer.js';
export { type TrainingOptions, type TrainingProgress, trainByteLevelBpe } from './training/train.js';
