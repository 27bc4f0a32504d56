import type { PenaltyOptions } from '@frugal/tensor-core/generation';
import type { ChatMessage } from '@frugal/tokenizers';
import type { OutputFormat, ToolFormat } from '../grammar/index.js';

/**
 * The engine as its callers see it: plain data in, a stream of plain data out, no HTTP. What crosses this line can
 * cross a process boundary too, so an engine in a child process is another implementation of the same interface.
 */
export interface Engine {
  /** Whether it takes requests now: not while a crashed process is started again, nor once it is closed. */
  readonly isAvailable: boolean;
  /** What can be asked for, in the order in which it was loaded. */
  models(): readonly ModelCard[];
  /**
   * Starts a request. The first event is `start`, once the prompt is accepted; the last one is `finish`. Leaving
   * the loop early, or aborting the signal, ends the request and frees its memory.
   * The iteration throws an EngineError when the request is refused or fails.
   */
  submit(request: GenerationRequest): AsyncIterable<GenerationEvent>;
  /** Vectors or classes of texts, by a model that reads and writes nothing. @throws EngineError, the signal's reason when it fires */
  encode(request: EncodingRequest): Promise<Encoding>;
  /** Adds an adapter to a model, from where its loader finds it. @throws EngineError, or what the loader throws */
  loadAdapter(change: AdapterSource): Promise<void>;
  /** Refuses new requests with an adapter, waits for those that run, and frees it. @throws EngineError */
  unloadAdapter(change: AdapterName): Promise<void>;
  /** Loads a model that was given up, before anybody asks for it. @throws EngineError, or what its source throws */
  loadModel(name: string): Promise<void>;
  /** Waits for its requests and frees it; the next one loads it again. @throws EngineError for a model that came loaded */
  unloadModel(name: string): Promise<void>;
  /** A snapshot, never older than the last step. */
  stats(): EngineStats;
  /** Ends running requests with reason `abort`, refuses new ones, and frees the caches. Models stay with their owner. */
  close(): Promise<void>;
}

export interface ModelCard {
  readonly name: string;
  /** What it is asked for: text (`submit`), or vectors or classes of texts (`encode`). */
  readonly task: ModelTask;
  /** Tokens of prompt and answer together. */
  readonly contextLength: number;
  /** Memory of its weights, and of the adapters that are loaded. */
  readonly weightBytes: number;
  /** Whether the model has a chat template: without one it only continues text. */
  readonly chat: boolean;
  /** Whether the template tells roles apart; that of a model of plain documents only joins the messages. */
  readonly roles: boolean;
  /** How the model writes that it calls a function; null: its template knows of none. */
  readonly toolFormat: ToolFormat | null;
  /** When it was loaded: Unix time in seconds. */
  readonly created: number;
  /** Whether it is in memory now; else the first request for it waits until it is. */
  readonly loaded: boolean;
  /** Adapters that requests can choose. */
  readonly adapters: readonly string[];
  /** Length of the vectors of a model that embeds. */
  readonly dimensions?: number | undefined;
  /** Names of the classes of a classifier, in the order of its scores. */
  readonly labels?: readonly string[] | undefined;
}

export type ModelTask = 'generate' | 'embed' | 'classify';

export interface AdapterName {
  readonly model: string;
  readonly adapter: string;
}

export interface AdapterSource extends AdapterName {
  /** What the loader of the model reads, such as a folder. */
  readonly source: string;
}

/** What to continue. The engine encodes it, so that long prompts never hold up whoever accepts requests. */
export type Prompt =
  | { readonly text: string }
  | { readonly ids: readonly number[] }
  | {
      readonly messages: readonly ChatMessage[];
      /** Functions that the model may call, as its template shows them. Its answer then keeps special tokens. */
      readonly tools?: readonly object[] | undefined;
    };

export interface GenerationRequest extends PenaltyOptions {
  readonly model: string;
  /** One of the adapters on the model's card. Default: the model as it is. */
  readonly adapter?: string | undefined;
  readonly prompt: Prompt;
  /** Default: what is left of the context. */
  readonly maxTokens?: number | undefined;
  /** 0: always the most likely token. Default 1. */
  readonly temperature?: number | undefined;
  /** Only the most likely tokens whose probabilities reach this sum. Default 1. */
  readonly topP?: number | undefined;
  /** Only the k most likely tokens; 0: all. Default 0. */
  readonly topK?: number | undefined;
  /** Only tokens at least this likely beside the most likely one. Default 0. */
  readonly minP?: number | undefined;
  /** The same request with the same seed gives the same text, whatever else runs. Default: drawn at random. */
  readonly seed?: number | undefined;
  /** The text ends before the first of these. */
  readonly stop?: readonly string[] | undefined;
  /** Report the log probability of each token, and of this many of the most likely ones. Default: none. */
  readonly logprobs?: number | undefined;
  /** What the answer has to be. It then ends within its tokens, whole. Default: any text. */
  readonly format?: OutputFormat | undefined;
  /** An integer; higher ones go first, and may send lower ones that run back to wait. Default 0. */
  readonly priority?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Texts to read. All of them or none get an answer. */
export interface EncodingRequest {
  readonly model: string;
  /** What is wanted of the model; one that does something else refuses. */
  readonly task: Exclude<ModelTask, 'generate'>;
  readonly inputs: readonly EncodingInput[];
  /** Longer texts lose their end, so that so many tokens are left. Default: they are refused. */
  readonly truncate?: number | undefined;
  /** Whether a classifier's scores become probabilities. Default true. */
  readonly activation?: boolean | undefined;
  /** An integer; higher ones go first. Default 0. */
  readonly priority?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type EncodingInput = { readonly text: string } | { readonly ids: readonly number[] };

export interface Encoding {
  /** Of each input a vector of `dimensions` numbers, or a score for each class. */
  readonly rows: readonly Float32Array[];
  /** Tokens of all inputs. */
  readonly promptTokens: number;
}

/** `stop`: end-of-text token or stop string; `length`: maxTokens reached; `abort`: cancelled. */
export type FinishReason = 'stop' | 'length' | 'abort';

export interface Usage {
  readonly promptTokens: number;
  /** Those of them that earlier requests had computed already. */
  readonly cachedTokens: number;
  /** Sampled tokens, an end-of-text token included. */
  readonly completionTokens: number;
}

export interface TokenProbability {
  readonly id: number;
  /** The bytes this token stands for: perhaps only a part of a character. */
  readonly bytes: Uint8Array;
  /** Natural logarithm, of the model's own distribution (temperature 1, nothing cut off). */
  readonly logprob: number;
}

export interface TokenLogprobs extends TokenProbability {
  /** The most likely tokens, best first. */
  readonly top: readonly TokenProbability[];
}

export type GenerationEvent =
  | { readonly type: 'start'; readonly promptTokens: number }
  /** The text that became certain, and the tokens sampled since the last event when logprobs were asked for. */
  | { readonly type: 'text'; readonly text: string; readonly logprobs?: readonly TokenLogprobs[] | undefined }
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly usage: Usage };

export interface EngineStats {
  /** Requests that wait for memory or a place in the batch. */
  readonly waiting: number;
  readonly running: number;
  /** Since the start. */
  readonly finished: number;
  readonly steps: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Prompt tokens of finished requests that earlier ones had computed. */
  readonly cachedTokens: number;
  /** How often a running request lost its memory to another one and began again. */
  readonly preemptions: number;
  /** Guesses of the draft, and those of them that were right. */
  readonly draftTokens: number;
  readonly draftTokensAccepted: number;
  /** Tokens that all caches can hold, those that running requests hold, and those kept for requests that begin alike. */
  readonly cacheTokens: number;
  readonly cacheTokensHeld: number;
  readonly cacheTokensKept: number;
}
