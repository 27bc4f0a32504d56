import type { Document } from '../documents.js';

/** An instruction with the answer that a model wrote, and the seed document that it is about. */
export interface SyntheticExample {
  readonly instruction: string;
  readonly answer: string;
  /** Id of the seed document. */
  readonly seed: string;
}

/** One instruction with several answers to it, drawn independently. */
export interface Candidate {
  readonly instruction: string;
  readonly answers: readonly string[];
  readonly seed: Document;
}
