import type { AddedToken, TokenizerDefinition } from '../definition.js';
import { specialToken } from '../file/config.js';
import { describe, type JsonObject } from '../file/json.js';
import { JsonReader } from '../file/json-reader.js';
import { readMerges } from '../file/vocabulary.js';
import { PipelineTokenizer } from '../pipeline-tokenizer.js';
import { templateProcessing } from '../text/affixes.js';
import { byteLevelJson } from '../text/pretokenizer-json.js';
import type { Tokenizer } from '../tokenizer.js';
import { Vocabulary } from '../vocabulary.js';
import { GgufMetadata, TOKEN_TYPE } from './metadata.js';
import { GGUF_PRETOKENIZERS, ggufPretokenizer } from './pretokenizers.js';
import { mergesFromScores } from './spm-merges.js';

const KEY = 'tokenizer.ggml';

/** Ends of a turn or text that files do not always name. */
const END_TOKENS = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|end_of_text|>',
  '<EOT>',
];

/** What differs between the kinds of vocabulary. */
type Kind = Pick<TokenizerDefinition, 'model' | 'merges' | 'normalizer' | 'preTokenizer' | 'decoder'> & {
  readonly addsBos: boolean;
};

/**
 * The tokenizer inside a GGUF file, from its metadata as plain values (`tokenizer.ggml.*`, `tokenizer.chat_template`).
 * Knows SentencePiece BPE (`llama`) and byte-level BPE (`gpt2`). Lists of numbers may be typed arrays.
 * @param file name for messages
 * @throws TokenizerFileError naming the key
 */
export function tokenizerFromGguf(metadata: Readonly<Record<string, unknown>>, file = 'GGUF'): Tokenizer {
  const reader = new GgufMetadata(metadata, file);
  const tokens = reader.strings(`${KEY}.tokens`);
  const types = reader.numbers(`${KEY}.token_type`, tokens.length);
  const vocabulary = makeVocabulary(reader, tokens);
  const { addsBos, ...kind } = readKind(reader, vocabulary, types);

  const idOf = (name: string) => reader.id(`${KEY}.${name}`, tokens.length);
  const bosId = idOf('bos_token_id');
  const named = [idOf('eos_token_id'), idOf('eot_token_id'), idOf('eom_token_id')];
  const ends = END_TOKENS.map((name) => vocabulary.idOf(name)).filter(
    (id) => types?.[id ?? -1] === TOKEN_TYPE.control,
  );
  const padId = idOf('padding_token_id');
  const unknownId = idOf('unknown_token_id') ?? findType(types, TOKEN_TYPE.unknown);
  const token = (id: number | undefined) => (id === undefined ? [] : [{ id, content: tokens[id] }]);
  const roles = { bos_token: bosId, eos_token: named[0], pad_token: padId, unk_token: unknownId };
  const namedTokens = Object.entries(roles).flatMap(([role, id]) =>
    id === undefined ? [] : [[role, tokens[id]]],
  );
  return new PipelineTokenizer({
    file,
    modelType: 'BPE',
    ...kind,
    model: { ...kind.model, unk_token: unknownId === undefined ? null : tokens[unknownId] },
    vocabulary,
    postProcessor: templateProcessing(
      reader.boolean(`${KEY}.add_bos_token`, addsBos) ? token(bosId) : [],
      reader.boolean(`${KEY}.add_eos_token`, false) ? token(named[0]) : [],
    ),
    addedTokens: makeAddedTokens(tokens, types, Object.values(roles)),
    config: {
      clean_up_tokenization_spaces: false,
      tokenizer_class: 'PreTrainedTokenizerFast',
    },
    namedTokens: Object.fromEntries(namedTokens),
    chatTemplates: readTemplates(reader),
    bosId,
    eosIds: [...new Set([...named, ...ends])].filter((id) => id !== undefined),
    padId,
    unknownId,
  });
}

function makeVocabulary(reader: GgufMetadata, tokens: readonly string[]): Vocabulary {
  const vocabulary = new Vocabulary();
  tokens.forEach((token, id) => {
    if (vocabulary.add(token, id)) return;
    reader.fail(`${KEY}.tokens[${id}]`, 'a token appears twice', {
      got: `${describe(token)}, which is token ${vocabulary.idOf(token)} already`,
    });
  });
  return vocabulary;
}

function readKind(reader: GgufMetadata, vocabulary: Vocabulary, types: ArrayLike<number> | undefined): Kind {
  const model = reader.string(`${KEY}.model`);
  if (model === 'gpt2') return readByteLevel(reader, vocabulary);
  if (model === 'llama') return readSentencePiece(reader, vocabulary, types);
  return reader.fail(`${KEY}.model`, 'unknown kind of vocabulary', {
    got: describe(model),
    expected: 'gpt2 (byte-level BPE) or llama (SentencePiece BPE)',
    hint: "Use the model's tokenizer.json instead.",
  });
}

function readByteLevel(reader: GgufMetadata, vocabulary: Vocabulary): Kind {
  const name = reader.string(`${KEY}.pre`) ?? 'default';
  const pretokenizer =
    ggufPretokenizer(name) ??
    reader.fail(`${KEY}.pre`, 'unknown pre-tokenizer', {
      got: describe(name),
      expected: GGUF_PRETOKENIZERS.join(', '),
      hint: "Use the model's tokenizer.json instead.",
    });
  const merges = reader.strings(`${KEY}.merges`);
  return {
    model: { ...bpeOptions(false), ignore_merges: pretokenizer.ignoreMerges ?? false },
    merges: readMerges(new JsonReader(reader.file, KEY, { merges }), vocabulary),
    normalizer: pretokenizer.composes ? { type: 'NFC' } : null,
    preTokenizer: pretokenizer.json,
    decoder: byteLevelJson(true),
    addsBos: pretokenizer.addsBos ?? false,
  };
}

function readSentencePiece(
  reader: GgufMetadata,
  vocabulary: Vocabulary,
  types: ArrayLike<number> | undefined,
): Kind {
  const scores =
    reader.numbers(`${KEY}.scores`, vocabulary.size) ??
    reader.fail(`${KEY}.scores`, 'a value is missing', { expected: 'a score for each token' });
  const merges = mergesFromScores(vocabulary, scores, types);
  const spaceFirst = reader.boolean(`${KEY}.add_space_prefix`, true);
  const mark = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const unmark = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
  const decoders = [unmark, { type: 'ByteFallback' }, { type: 'Fuse' }];
  return {
    model: bpeOptions(true),
    merges,
    normalizer: {
      type: 'Sequence',
      normalizers: [...(spaceFirst ? [{ type: 'Prepend', prepend: '▁' }] : []), mark],
    },
    preTokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [...decoders, ...(spaceFirst ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [])],
    },
    addsBos: true,
  };
}

const bpeOptions = (byteFallback: boolean): JsonObject => ({
  type: 'BPE',
  dropout: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: byteFallback,
  byte_fallback: byteFallback,
  ignore_merges: false,
});

function findType(types: ArrayLike<number> | undefined, wanted: number): number | undefined {
  if (!types) return undefined;
  const id = Array.prototype.indexOf.call(types, wanted);
  return id < 0 ? undefined : id;
}

/** Control tokens are special; user-defined ones are found whole too, but are text. */
function makeAddedTokens(
  tokens: readonly string[],
  types: ArrayLike<number> | undefined,
  roles: readonly (number | undefined)[],
): AddedToken[] {
  return tokens.flatMap((content, id) => {
    const type = types?.[id] ?? TOKEN_TYPE.normal;
    const isSpecial = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown || roles.includes(id);
    if (content === '' || (!isSpecial && type !== TOKEN_TYPE.userDefined)) return [];
    return [{ ...specialToken(id, content), special: isSpecial }];
  });
}

function readTemplates(reader: GgufMetadata): Record<string, string> {
  const prefix = 'tokenizer.chat_template';
  const templates: Record<string, string> = {};
  for (const key of reader.keys(prefix)) {
    const name = key === prefix ? 'default' : key.slice(prefix.length + 1);
    const source = key === prefix || key[prefix.length] === '.' ? reader.string(key) : undefined;
    if (source !== undefined) templates[name] = source;
  }
  return templates;
}
