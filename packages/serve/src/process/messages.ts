import type {
  AdapterName,
  AdapterSource,
  Encoding,
  EncodingRequest,
  EngineStats,
  GenerationEvent,
  GenerationRequest,
  ModelCard,
} from '../engine/contract.js';
import type { PlainError } from './plain-error.js';

/** A request without what cannot cross a process boundary; cancelling it is a message of its own. */
export type SentRequest = Omit<GenerationRequest, 'signal'>;

/** An encoding request likewise. */
export type SentEncoding = Omit<EncodingRequest, 'signal'>;

/** What is answered once, after which the models may have changed. */
export type EngineCall =
  | { readonly kind: 'encode'; readonly request: SentEncoding }
  | { readonly kind: 'load-model'; readonly model: string }
  | { readonly kind: 'unload-model'; readonly model: string }
  | AdapterChange;

export type AdapterChange =
  | { readonly kind: 'load-adapter'; readonly adapter: AdapterSource }
  | { readonly kind: 'unload-adapter'; readonly adapter: AdapterName };

/** To the process that has the engine. `start` comes first, once. */
export type ToEngine =
  | { readonly type: 'start'; readonly settings: unknown }
  | { readonly type: 'submit'; readonly id: number; readonly request: SentRequest }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'call'; readonly id: number; readonly call: EngineCall }
  | { readonly type: 'close' };

/** What happened to one request or call. Nothing follows a `finish` event, an error, or the result of a call. */
export type RequestNews =
  | { readonly id: number; readonly result: Encoding | undefined }
  | { readonly id: number; readonly event: GenerationEvent }
  | { readonly id: number; readonly error: PlainError };

/** From the process that has the engine. */
export type FromEngine =
  | { readonly type: 'ready'; readonly models: readonly ModelCard[]; readonly stats: EngineStats }
  | { readonly type: 'not-started'; readonly error: PlainError }
  /** All that happened since the last message of this kind: one message a step, however many requests run. */
  | {
      readonly type: 'news';
      readonly news: readonly RequestNews[];
      readonly stats: EngineStats;
      /** When they have changed. */
      readonly models: readonly ModelCard[] | undefined;
    };
