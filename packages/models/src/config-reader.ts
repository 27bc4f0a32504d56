import { FrugalError } from '@frugal/tensor-core';
import type { ModelConfig } from '@frugal/tensor-core/nn';

/** A model config that cannot be used, or that asks for something this version does not do. */
export class ModelConfigError extends FrugalError {}

/** Fields that never change what a model computes. */
const inert = new Set(
  (
    '_name_or_path _attn_implementation architectures auto_map bos_token_id chunk_size_feed_forward ' +
    'dtype eos_token_id gradient_checkpointing id2label initializer_range is_decoder is_encoder_decoder ' +
    'is_llama_config label2id max_length model_type output_attentions output_hidden_states pad_token_id problem_type ' +
    'pretraining_tp return_dict task_specific_params tokenizer_class torch_dtype transformers_version unsloth_fixed ' +
    'unsloth_version use_cache vocab_file cache_implementation rope_interleaved'
  ).split(' '),
);

/**
 * Reads a Hugging Face `config.json`. Every field that a family reads is remembered, so that `finish()` can refuse
 * those that nobody read: an ignored field is a silently different model.
 */
export class ConfigReader {
  private readonly read = new Set<string>();

  constructor(
    private readonly config: ModelConfig,
    private readonly where = 'config.json',
  ) {}

  get json(): ModelConfig {
    return this.config;
  }

  integer(name: string, fallback?: number): number {
    return this.value(
      name,
      'a positive integer',
      (v): v is number => Number.isInteger(v) && (v as number) > 0,
      fallback,
    );
  }
  /** An integer, or null where the config says null; `fallback` where it says nothing. */
  integerOrNull(name: string, fallback: number | null): number | null {
    return this.config[name] === undefined
      ? this.skip(name, fallback)
      : this.orNull(name, () => this.integer(name));
  }
  /** A non-negative integer. */
  count(name: string, fallback: number): number {
    return this.value(
      name,
      'a non-negative integer',
      (v): v is number => Number.isInteger(v) && (v as number) >= 0,
      fallback,
    );
  }
  countOrNull(name: string, fallback: number | null): number | null {
    return this.config[name] === undefined
      ? this.skip(name, fallback)
      : this.orNull(name, () => this.count(name, 0));
  }
  numberOrNull(name: string, fallback: number | null): number | null {
    return this.config[name] === undefined
      ? this.skip(name, fallback)
      : this.orNull(name, () => this.number(name));
  }
  number(name: string, fallback?: number): number {
    return this.value(
      name,
      'a number',
      (v): v is number => typeof v === 'number' && Number.isFinite(v),
      fallback,
    );
  }
  /** `null` is false, as in Python. */
  boolean(name: string, fallback?: boolean): boolean {
    if (this.config[name] === null) return this.skip(name, false);
    return this.value(name, 'true or false', (v): v is boolean => typeof v === 'boolean', fallback);
  }
  oneOf<T extends string>(name: string, allowed: readonly T[], fallback?: T): T {
    return this.value(name, allowed.join(', '), (v): v is T => allowed.includes(v as T), fallback);
  }
  /** A list of the allowed words, or undefined when absent or null. */
  list<T extends string>(name: string, allowed: readonly T[]): T[] | undefined {
    return this.items(name, `a list of ${allowed.join(', ')}`, (v): v is T => allowed.includes(v as T));
  }
  /** A list of integers, or undefined when absent or null. */
  integers(name: string): number[] | undefined {
    return this.items(name, 'a list of integers', (v): v is number => Number.isInteger(v));
  }
  /** A nested object, or undefined when absent or null. */
  object(name: string): ConfigReader | undefined {
    this.read.add(name);
    const value = this.config[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'object' || Array.isArray(value)) this.refuse(name, value, 'an object');
    return new ConfigReader(value as ModelConfig, `${this.where}: ${name}`);
  }
  has(name: string): boolean {
    return this.config[name] !== undefined && this.config[name] !== null;
  }
  /** Refuses a setting that this version does not do: only its neutral value, or its absence, passes. */
  only<T extends number | boolean>(name: string, neutral: T): void {
    this.value(name, String(neutral), (v): v is T => v === neutral, neutral);
  }
  /** Refuses any value but null. */
  onlyNull(name: string): void {
    this.read.add(name);
    if (this.has(name)) this.refuse(name, this.config[name], 'null');
  }
  /** Marks fields as understood without their value mattering here. */
  ignore(...names: string[]): void {
    for (const name of names) this.read.add(name);
  }

  /** @throws ModelConfigError naming every field that nobody read and that is not known to be harmless */
  finish(): void {
    const unknown = Object.entries(this.config)
      .filter(([name, value]) => !this.read.has(name) && !inert.has(name) && value !== null)
      .map(([name]) => name);
    if (unknown.length === 0) return;
    throw new ModelConfigError({
      where: this.where,
      what: 'fields that this model family does not know, and that may change its results',
      got: unknown.join(', '),
      hint: 'Remove them if they are meaningless, or use a version of Frugal that supports them.',
    });
  }

  private skip<T>(name: string, fallback: T): T {
    this.read.add(name);
    return fallback;
  }
  private orNull<T>(name: string, read: () => T): T | null {
    return this.config[name] === null ? this.skip(name, null) : read();
  }
  private items<T>(name: string, expected: string, valid: (item: unknown) => item is T): T[] | undefined {
    this.read.add(name);
    const value = this.config[name] ?? undefined;
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every(valid)) this.refuse(name, value, expected);
    return value as T[];
  }

  private value<T>(
    name: string,
    expected: string,
    valid: (value: unknown) => value is T,
    fallback: T | undefined,
  ): T {
    this.read.add(name);
    const value = this.config[name];
    const chosen = value ?? fallback;
    if (!valid(chosen)) this.refuse(name, chosen, expected);
    return chosen as T;
  }

  private refuse(name: string, value: unknown, expected: string): never {
    throw new ModelConfigError({
      where: this.where,
      what: `field ${name}`,
      got: JSON.stringify(value) ?? 'nothing',
      expected,
    });
  }
}
