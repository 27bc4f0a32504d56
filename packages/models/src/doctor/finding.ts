import type { Checkpoint } from '@frugal/checkpoint';
import type { CausalLM, ModelConfig } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';

/** One thing that was looked at. */
export interface Finding {
  /** Short name of the check: `zero-points`, `double-bos`, … */
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly what: string;
  /** What was seen: numbers, names. */
  readonly evidence?: string;
  /** What goes wrong, and in which tool. */
  readonly consequence?: string;
  readonly fix?: string;
}

/** What checks look at; parts that could not be opened are null. */
export interface Patient {
  readonly checkpoint: Checkpoint;
  readonly config: ModelConfig | null;
  readonly model: CausalLM | null;
  readonly tokenizer: Tokenizer | null;
}

/** Finds what is wrong in one respect; an empty list when nothing is. */
export type Check = (patient: Patient) => Promise<Finding[]> | Finding[];
