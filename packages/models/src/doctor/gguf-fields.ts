import type { MetadataValue } from '@frugal/checkpoint';
import type { Patient } from './finding.js';

/** Metadata as a file has them, also where no config can be made of them. */
export class GgufFields {
  private readonly metadata: ReadonlyMap<string, MetadataValue>;
  private readonly architecture: string;

  constructor({ checkpoint }: Patient) {
    this.metadata = checkpoint.tensors.metadata;
    this.architecture = String(this.metadata.get('general.architecture'));
  }

  /** A key of the architecture, which may hold a list with a value for each layer; undefined where there is none. */
  ofLayer(key: string, layer: number): number | undefined {
    const value = this.metadata.get(`${this.architecture}.${key}`);
    const found = typeof value === 'object' ? value[layer] : value;
    return typeof found === 'number' || typeof found === 'bigint' ? Number(found) : undefined;
  }

  tokenizer(key: string): MetadataValue | undefined {
    return this.metadata.get(`tokenizer.ggml.${key}`);
  }

  /** The name of a key for messages. */
  nameOf(key: string): string {
    return `${this.architecture}.${key}`;
  }

  get tokens(): readonly MetadataValue[] | undefined {
    const tokens = this.tokenizer('tokens');
    return Array.isArray(tokens) ? tokens : undefined;
  }
}
