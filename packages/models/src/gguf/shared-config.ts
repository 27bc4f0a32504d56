import type { GgufValue } from '@frugal/checkpoint';
import type { ModelConfig } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import type { GgufEntries } from './architecture.js';
import type { GgufMetadataReader } from './metadata-reader.js';
import { requireSetting } from './refusal.js';
import { f32, u32 } from './values.js';

/** The fields of config.json that all decoders share. */
export function readDecoderConfig(reader: GgufMetadataReader, entries: GgufEntries): ModelConfig {
  const sizes = readSizes(reader, entries);
  const { hidden_size: hiddenSize, num_attention_heads: heads } = sizes as Record<string, number>;
  const headSize = reader.integer('attention.key_length', hiddenSize / heads);
  for (const key of ['attention.value_length', 'rope.dimension_count']) reader.only(key, headSize);
  return {
    ...sizes,
    num_key_value_heads: reader.integer('attention.head_count_kv', heads),
    ...(headSize !== hiddenSize / heads && { head_dim: headSize }),
  };
}

/** {@link readDecoderConfig} without what a head looks like. */
export function readSizes(reader: GgufMetadataReader, entries: GgufEntries): ModelConfig {
  return {
    hidden_size: reader.integer('embedding_length'),
    num_hidden_layers: reader.integer('block_count'),
    intermediate_size: reader.integer('feed_forward_length'),
    num_attention_heads: reader.integer('attention.head_count'),
    max_position_embeddings: reader.integer('context_length'),
    vocab_size: vocabularySize(entries, reader.file),
    rms_norm_eps: reader.number('attention.layer_norm_rms_epsilon'),
    tie_word_embeddings: !entries.has('output.weight'),
    ...readTokenIds(reader),
  };
}

/** The other direction: what all decoders have in common. */
export function writeDecoderConfig(config: ModelConfig): Record<string, GgufValue> {
  const heads = config.num_attention_heads as number;
  const headSize = headSizeOf(config);
  return {
    ...writeSizes(config),
    'attention.head_count_kv': u32((config.num_key_value_heads as number | undefined) ?? heads),
    'attention.key_length': u32(headSize),
    'attention.value_length': u32(headSize),
    'rope.dimension_count': u32(headSize),
  };
}

/** {@link writeDecoderConfig} without what a head looks like. */
export function writeSizes(config: ModelConfig): Record<string, GgufValue> {
  const number = (name: string) => config[name] as number;
  return {
    block_count: u32(number('num_hidden_layers')),
    context_length: u32(number('max_position_embeddings')),
    embedding_length: u32(number('hidden_size')),
    feed_forward_length: u32(number('intermediate_size')),
    'attention.head_count': u32(number('num_attention_heads')),
    'attention.layer_norm_rms_epsilon': f32((config.rms_norm_eps as number | undefined) ?? 1e-6),
    vocab_size: u32(number('vocab_size')),
  };
}

/** What all of these architectures take for granted. @throws ModelConfigError */
export function requireSilu(config: ModelConfig): void {
  requireSetting(config, 'hidden_act', ['silu', 'swish']);
}

export function headSizeOf(config: ModelConfig): number {
  const { head_dim, hidden_size, num_attention_heads } = config as Record<string, number>;
  return head_dim ?? hidden_size / num_attention_heads;
}

/** The rows of the embedding: the metadata need not say it. */
function vocabularySize(entries: GgufEntries, file: string): number {
  const embedding = entries.get('token_embd.weight');
  if (embedding?.shape.length === 2) return embedding.shape[0];
  throw new ModelConfigError({
    where: file,
    what: 'there is no embedding matrix',
    expected: 'token_embd.weight',
    hint: 'This file may hold an adapter, a projector or a vocabulary alone.',
  });
}

function readTokenIds(reader: GgufMetadataReader): ModelConfig {
  const names = {
    bos_token_id: 'bos_token_id',
    eos_token_id: 'eos_token_id',
    pad_token_id: 'padding_token_id',
  };
  return Object.fromEntries(
    Object.entries(names).flatMap(([field, key]) => {
      const id = reader.general(`tokenizer.ggml.${key}`);
      return typeof id === 'number' ? [[field, id]] : [];
    }),
  );
}
