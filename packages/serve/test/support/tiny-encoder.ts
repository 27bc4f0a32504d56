import { createEncoder } from '@frugal/models';
import type { LoadedEncoder } from '../../src/index.js';
import { byteTokenizer } from './tiny.js';

interface TinyEncoderOptions extends Partial<LoadedEncoder> {
  /** So many classes; default none: it embeds. */
  readonly classes?: number;
}

/** A small BERT with random weights. */
export function tinyEncoder({ classes, ...rest }: TinyEncoderOptions = {}): LoadedEncoder {
  const config = {
    architectures: [classes ? 'BertForSequenceClassification' : 'BertModel'],
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    vocab_size: 260,
    max_position_embeddings: 64,
    initializer_range: 1,
    ...(classes && { num_labels: classes }),
  };
  const name = classes ? 'classifier' : 'embedder';
  return { name, encoder: createEncoder(config, { seed: 2 }), tokenizer: byteTokenizer(), ...rest };
}
