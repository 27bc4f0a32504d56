import type { MetadataValue } from '@frugal/checkpoint';
import { ModelConfigError } from '../config-reader.js';

/** Keys that describe a model without changing what it computes. */
const inert = new Set(['context_length', 'vocab_size', 'tensor_data_layout', 'use_parallel_residual']);

/**
 * Reads the metadata of one architecture (`llama.block_count`, …). Every key that is read is remembered, so that
 * `finish()` can refuse those that nobody read: an ignored key is a silently different model.
 */
export class GgufMetadataReader {
  private readonly read = new Set<string>();

  constructor(
    private readonly metadata: ReadonlyMap<string, MetadataValue>,
    readonly architecture: string,
    readonly file: string,
  ) {}

  has(key: string): boolean {
    return this.metadata.has(`${this.architecture}.${key}`);
  }

  integer(key: string, fallback?: number): number {
    const value = this.uniform(key) ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value;
    return this.refuse(key, value, 'a positive integer');
  }

  /** A number; an f32 as the shortest decimal that rounds to it: 1e-5, not 0.00000999999974. */
  number(key: string, fallback?: number): number {
    const value = this.uniform(key) ?? fallback;
    if (typeof value === 'number' && Number.isFinite(value)) return shortestDecimal(value);
    return this.refuse(key, value, 'a number');
  }

  string<T extends string>(key: string, allowed: readonly T[], fallback: T): T {
    const value = this.uniform(key) ?? fallback;
    if (allowed.includes(value as T)) return value as T;
    return this.refuse(key, value, allowed.join(', '));
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.uniform(key) ?? fallback;
    return typeof value === 'boolean' ? value : this.refuse(key, value, 'true or false');
  }

  /** Refuses a setting that is not done here: only its neutral value, or its absence, passes. */
  only(key: string, neutral: MetadataValue): void {
    const value = this.uniform(key) ?? neutral;
    if (value !== neutral) this.refuse(key, value, String(neutral));
  }

  /** Values of one key for each layer, where the file has a list; else the same for all. */
  perLayer(key: string, layers: number): number[] {
    this.read.add(key);
    const value = this.metadata.get(`${this.architecture}.${key}`);
    if (typeof value === 'number') return new Array(layers).fill(value);
    const list = isList(value) ? Array.from(value as ArrayLike<unknown>, Number) : [];
    if (list.length === layers && list.every(Number.isFinite)) return list;
    return this.refuse(key, value, `a number, or ${layers} of them`);
  }

  /** For each layer whether it is none of every `every`: a list of the file, its own step, or the step that is usual. */
  pattern(key: string, layers: number, every: number): boolean[] {
    this.read.add(key);
    const value = this.metadata.get(`${this.architecture}.${key}`) ?? every;
    if (isList(value)) {
      const list = Array.from(value as ArrayLike<MetadataValue>, Boolean);
      return list.length === layers ? list : this.refuse(key, list.join(', '), `${layers} values`);
    }
    const step = Number(value);
    if (!Number.isInteger(step) || step < 0) this.refuse(key, value, 'a step, or a list');
    return Array.from({ length: layers }, (_, i) => step === 0 || (i + 1) % step !== 0);
  }

  /** A value that does not belong to the architecture, such as `tokenizer.ggml.bos_token_id`. */
  general(key: string): MetadataValue | undefined {
    return this.metadata.get(key);
  }

  ignore(...keys: string[]): void {
    for (const key of keys) this.read.add(key);
  }

  /** @throws ModelConfigError naming every key of the architecture that nobody read */
  finish(): void {
    const prefix = `${this.architecture}.`;
    const unknown = [...this.metadata.keys()]
      .filter((key) => key.startsWith(prefix))
      .filter((key) => !this.read.has(key.slice(prefix.length)) && !inert.has(key.slice(prefix.length)));
    if (unknown.length === 0) return;
    throw new ModelConfigError({
      where: this.file,
      what: 'metadata that this model family does not know, and that may change its results',
      got: unknown.join(', '),
      hint: 'Use a version of Frugal that supports them.',
    });
  }

  refuse(key: string, value: unknown, expected: string): never {
    throw new ModelConfigError({
      where: this.file,
      what: `metadata ${this.architecture}.${key}`,
      got: value === undefined ? 'nothing' : String(value).slice(0, 80),
      expected,
    });
  }

  /** A value, or the one that all items of a list share: some files give one per layer. */
  private uniform(key: string): MetadataValue | undefined {
    this.read.add(key);
    const value = this.metadata.get(`${this.architecture}.${key}`);
    if (!isList(value)) return value;
    const list = Array.from(value as ArrayLike<MetadataValue>);
    if (list.length > 0 && list.every((item) => item === list[0])) return list[0];
    return this.refuse(key, list.join(', '), 'the same value for every layer');
  }
}

function isList(value: MetadataValue | undefined): boolean {
  return Array.isArray(value) || ArrayBuffer.isView(value);
}

function shortestDecimal(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === Math.fround(value)) return shorter;
  }
  return value;
}
