import type { WritingConfig } from './config.js';

/** What asks a model, wherever it is. */
export interface Writer {
  /** One answer to each message, in their order; those with the same seeds are the same for a model of this machine. */
  answer(messages: readonly Message[]): Promise<readonly string[]>;
  close(): void;
}

export interface Message {
  readonly content: string;
  /** Of the random numbers that this answer is drawn with. */
  readonly seed: number;
}

/** How answers are drawn. */
export type Sampling = Pick<WritingConfig, 'temperature' | 'topP' | 'maxTokens'>;
