/** The first bytes of a byte-level vocabulary, no merges: a tokenizer for models of any size. */
export function tinyTokenizer(size: number): Record<string, object> {
  const printable = Array.from({ length: 256 }, (_, i) => String.fromCodePoint(i < 94 ? 33 + i : 162 + i));
  const vocab = Object.fromEntries(
    printable.slice(0, Math.min(size, 256)).map((character, id) => [character, id]),
  );
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    'tokenizer.json': {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab,
        merges: [],
      },
    },
    'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast' },
  };
}
