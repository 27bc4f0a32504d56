import type { JsonObject, JsonValue } from './json/json.js';

/** Name of the file that makes a Hugging Face directory a Frugal checkpoint. */
export const MANIFEST_FILE = 'frugal.json';

/**
 * What `frugal.json` says: how a checkpoint came to be. Everything but `version` is optional, and unknown members
 * are kept, so that methods and users can add their own.
 */
export interface Manifest {
  readonly version: 1;
  /** What wrote it, such as "frugal 0.1.0". */
  readonly createdBy?: string;
  /** Kind of work that made it: "pretrain", "distill", "compress", "convert", … */
  readonly kind?: string;
  /** Checkpoints it was made from (base model, teacher, draft). */
  readonly sources?: readonly SourceLineage[];
  /** Data it was trained or calibrated on. */
  readonly data?: readonly DataLineage[];
  /** The compression recipe, as it was run. */
  readonly recipe?: JsonValue;
  readonly seed?: number;
  /** Steps, tokens, losses and hyper-parameters of the training. */
  readonly training?: JsonObject;
  /** What was done to each layer: format, error, bytes before and after. */
  readonly layers?: JsonValue;
  /** How keys and values are stored when the model generates: `f32`, `bf16`, `f16` or `q8`. */
  readonly cache?: { readonly dtype: string };
  readonly [key: string]: unknown;
}

/** A checkpoint that another one was made from. */
export interface SourceLineage {
  readonly role: string;
  readonly name: string;
  /** See `fingerprint`. */
  readonly fingerprint?: string;
}

/** Data that a checkpoint was trained or calibrated on. */
export interface DataLineage {
  readonly role: string;
  readonly name: string;
  readonly sha256?: string;
  readonly license?: string;
  readonly tokens?: number;
}
