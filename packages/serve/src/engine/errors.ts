import { type ErrorDetails, FrugalError } from '@frugal/tensor-core';

export type EngineErrorCode =
  | 'unknown-model'
  /** No adapter of that name is loaded, it is being unloaded, or the model takes none. */
  | 'unknown-adapter'
  /** The model does something else: it embeds or classifies texts, or it writes them. */
  | 'wrong-task'
  /** The model has no chat template, but was given messages. */
  | 'no-chat-template'
  /** Ids outside the vocabulary, an empty prompt, messages that the template refuses, options out of range. */
  | 'invalid-request'
  /** Prompt and maxTokens do not fit into the context. */
  | 'context-length-exceeded'
  /** The queue is full; try again later. */
  | 'overloaded'
  /** The process of the engine crashed and is being started again; try again later. */
  | 'unavailable'
  | 'closed'
  /** A step failed; the request is lost, the engine goes on. */
  | 'failed';

/** A request that the engine refused or lost. */
export class EngineError extends FrugalError {
  constructor(
    readonly code: EngineErrorCode,
    details: Omit<ErrorDetails, 'where'>,
  ) {
    super({ where: 'engine', ...details });
  }
}
