import { createModel } from '@frugal/models';
import { type Backend, fill } from '@frugal/tensor-core';
import { createTokenizer, type Tokenizer } from '@frugal/tokenizers';
import type { LoadedModel } from '../../src/index.js';

export const byteIds = { begin: 256, end: 257 };

const chatTemplate =
  '{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}';

/** One token per byte, with the byte as its id; 256 begins a text, 257 ends it, and `marks` are special tokens from 258. */
export function byteTokenizer({ chat = false, marks = [] as readonly string[] } = {}): Tokenizer {
  const addedTokens = ['<|begin|>', '<|end|>', ...marks].map((content, i) => [content, 256 + i] as const);
  return createTokenizer({
    tokenizerJson: {
      version: '1.0',
      added_tokens: addedTokens.map(([content, id]) => ({
        ...{
          id,
          content,
          special: true,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
        },
      })),
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<|begin|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
        pair: [],
        special_tokens: { '<|begin|>': { id: '<|begin|>', ids: [byteIds.begin], tokens: ['<|begin|>'] } },
      },
      decoder: { type: 'ByteLevel' },
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(byteAlphabet().map((token, id) => [token, id])),
        merges: [],
      },
    },
    tokenizerConfig: {
      bos_token: '<|begin|>',
      eos_token: '<|end|>',
      ...(chat && { chat_template: chatTemplate }),
    },
  });
}

/** The characters that stand for bytes in byte-level vocabularies: printable ones for themselves, others from U+0100. */
function byteAlphabet(): string[] {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 260,
};

/** Of its cache: layers, key and value, key heads, head size, f32. */
export const bytesPerToken = 2 * 2 * 2 * 8 * 4;

interface TinyOptions extends Partial<LoadedModel> {
  readonly seed?: number;
  readonly backend?: Backend;
  /** The longest text that the model can read; default 256. */
  readonly positions?: number;
}

/** A small Llama with random weights: its texts mean nothing, but they are always the same. */
export function tinyModel({ seed = 1, backend, positions = 256, ...rest }: TinyOptions = {}): LoadedModel {
  const model = createModel({ ...config, max_position_embeddings: positions }, { seed, backend });
  return { name: 'tiny', model, tokenizer: byteTokenizer(), ...rest };
}

export function chatModel(options: TinyOptions = {}): LoadedModel {
  return tinyModel({ tokenizer: byteTokenizer({ chat: true }), ...options });
}

/** A model whose answers end before they begin: each of its tokens ends a text. */
export function silentModel(): LoadedModel {
  return chatModel({ stopIds: Array.from({ length: config.vocab_size }, (_, id) => id) });
}

/** A model whose logits are not numbers. */
export function brokenModel(): LoadedModel {
  const loaded = tinyModel({ name: 'broken' });
  for (const parameter of loaded.model.parameters()) parameter.value = fill(parameter.value, Number.NaN);
  return loaded;
}
