import type { Backend, FloatDType, Tensor } from '../index.js';
import type { CacheDType, CacheSpec } from './cache.js';
import type { EmbeddingLike } from './embedding.js';
import type { RowContext } from './linear.js';
import type { Module } from './module.js';
import type { StepBatch } from './step-batch.js';

/** JSON that describes a model: the `config.json` of its checkpoint. */
export type ModelConfig = { readonly [key: string]: unknown };

/** One end of a coupling: which axis of which module changes, and how many entries belong to one unit. */
export interface CouplingMember {
  readonly path: string;
  /** `rows`: outputs of a linear layer, entries of a norm, vocabulary rows' width is `columns`. */
  readonly axis: 'rows' | 'columns';
  readonly entriesPerUnit: number;
}

/**
 * Parts that must change together. Removing unit u removes entries u·n … u·n+n-1 of every member: a neuron of an
 * MLP, a key head with its query heads, a channel of the residual stream, an expert.
 */
export interface Coupling {
  readonly kind: 'ffn' | 'attention' | 'experts' | 'residual' | 'cache';
  readonly path: string;
  /** How many units there are. */
  readonly units: number;
  /** The fewest that the layer works with; default 1. */
  readonly least?: number;
  /** Units lie in this many groups of equal size, in order, which must stay equal; default 1. */
  readonly groups?: number;
  readonly members: readonly CouplingMember[];
  /**
   * Path of the member whose rows the layer passes on linearly to the columns of the others, such as `up` of a gated MLP: factors
   * of the one can move to the other.
   */
  readonly linear?: string;
  /** What changes in the config when `units` are left. */
  config(units: number): ModelConfig;
}

/** A norm and the layers that read its output: where scales can move from activations to weights. */
export interface NormGroup {
  readonly norm: string;
  readonly consumers: readonly string[];
}

/** A parameter that is the same tensor under two paths (embedding and head). */
export interface Tie {
  readonly path: string;
  readonly source: string;
}

/** What `compress` needs of any network: language model, encoder, tabular. */
export interface Model extends Module {
  /** Edits may change it: `num_hidden_layers` after layers were removed. */
  config: ModelConfig;
  readonly blocks: readonly Block[];
  readonly ties: readonly Tie[];
  couplings(): readonly Coupling[];
  normGroups(): readonly NormGroup[];
}

/** What all blocks of one step share: the batch, rotary angles, and the values that were asked for. */
export interface StepContext {
  readonly batch: StepBatch;
  /** Values computed once per step and shared by layers, such as rotary cos and sin tables, by name. */
  readonly shared: Map<string, readonly Tensor[]>;
  readonly collected: Map<string, Tensor>;
  /** Losses that layers ask for beside the one of the task (router balancing), already weighted, by name; f32 []. */
  readonly losses: Map<string, Tensor>;
  /** Whether numbers that decide something are finite, by what they are; f32 [], 1 or 0. Set while training alone. */
  readonly checks: Map<string, Tensor>;
}

/** One layer of a stack: hidden states [N, C] → [N, C]. */
export interface Block extends Module {
  forward(hidden: Tensor, context: StepContext): Tensor;
}

export interface Output {
  /** The rows of `logitRows`, after the final norm: [M, C]. */
  readonly hidden: Tensor;
  readonly collected: ReadonlyMap<string, Tensor>;
  /** Auxiliary losses by name, already weighted, f32 []; means over the rows of the step. Empty without training. */
  readonly losses: ReadonlyMap<string, Tensor>;
  /** What was not finite, if something was, by what it is (`router logits of blocks.3.mlp`): f32 [], 1 or 0. Empty without training. */
  readonly checks: ReadonlyMap<string, Tensor>;
  /** [M, V], computed when asked for: losses that stream the vocabulary never do. */
  logits(): Tensor;
}

/** Hidden states [M, C] → logits [M, V]: a linear layer, or one with more behind it (soft caps). */
export interface LogitHead extends Module {
  forward(hidden: Tensor, rows?: RowContext): Tensor;
  readonly outFeatures: number;
}

/** A decoder that predicts the next token. */
export interface CausalLM extends Model {
  readonly vocabularySize: number;
  /** Longest sequence the positions allow. */
  readonly contextLength: number;
  readonly embed: EmbeddingLike;
  readonly head: LogitHead;
  /**
   * Layers beyond the stack, which predict further tokens (DeepSeek-V3's MTP). Block d takes the hidden states of the
   * one before it (the first those of `Output.hidden`) and a batch of the tokens that follow them, one position on.
   */
  readonly extraBlocks: readonly Block[];
  /** Of all blocks, then of the extra blocks. */
  readonly cacheSpec: CacheSpec;
  /** Dtype of the activations; parameters may have another one (f32 masters with bf16 compute). */
  computeDType: FloatDType;
  /** What computes each block, where they were spread over backends (`placeBlocks`); left out: all the same. */
  placement?: readonly Backend[] | undefined;
  /** How keys and values are stored, where a recipe has chosen it (`quant.cache`); saved with the model. */
  cacheDType?: CacheDType | undefined;
  forward(batch: StepBatch): Output;
  /** The same in steps, for whoever walks block by block: embed, then each block, then the final norm. */
  begin(batch: StepBatch): { readonly hidden: Tensor; readonly context: StepContext };
  finish(hidden: Tensor, context: StepContext): Output;
}

/**
 * Paths of modules and parameters here ↔ their names in a Hugging Face checkpoint (`huggingFaceNames` of
 * `@frugal/models`); undefined for what one side lacks.
 */
export interface ModuleNames {
  toTheirs(path: string): string | undefined;
  toOurs(name: string): string | undefined;
}

/** How GGUF files call the layers of a model and order their rows (`ggufLayout` of `@frugal/models`). */
export interface GgufLayout {
  /** `general.architecture`. */
  readonly architecture: string;
  /** Name of the weight of a layer; undefined where the file has no such tensor. */
  tensorName(path: string): string | undefined;
  /** Row i of the file is row `rowOrder(…)[i]` of the layer; null where they are the same. */
  rowOrder(path: string, rows: number): Int32Array | null;
}

/** A number that tells how good a model is, for searches and reports. */
export interface Score {
  readonly name: string;
  readonly higherIsBetter: boolean;
  evaluate(model: Model): Promise<number>;
}
