import type { AddedToken, ModelType, TokenizerDefinition } from '../definition.js';
import type { Vocabulary } from '../vocabulary.js';
import { readAddedToken } from './added-token.js';
import {
  configuredAddedTokens,
  configuredPostProcessor,
  readChatTemplates,
  readNamedTokens,
  specialTokenIds,
} from './config.js';
import { JsonReader, parseJsonText } from './json-reader.js';
import { readMerges, readVocabulary } from './vocabulary.js';

/** The files of a Hugging Face tokenizer, each as JSON text or as parsed. Only the first is needed. */
export interface TokenizerParts {
  readonly tokenizerJson: string | object;
  readonly tokenizerConfig?: string | object;
  readonly specialTokensMap?: string | object;
  /** Names the ids that end generation. */
  readonly generationConfig?: string | object;
  /** chat_template.jinja; wins over the template in tokenizer_config.json. */
  readonly chatTemplate?: string;
  /** Where the parts come from, for error messages. Default: the names of the files alone. */
  readonly directory?: string;
}

const MODEL_TYPES: readonly ModelType[] = ['BPE', 'WordPiece', 'Unigram', 'WordLevel'];

/** Opens one part; `undefined` becomes an empty object. */
export function openPart(part: string | object | undefined, name: string, directory?: string): JsonReader {
  const file = directory ? `${directory}/${name}` : name;
  const value = typeof part === 'string' ? parseJsonText(part, file) : (part ?? {});
  const reader = new JsonReader(file, '', value);
  reader.object();
  return reader;
}

/**
 * Checks a tokenizer.json and its companions and brings them into one form.
 * @throws TokenizerFileError naming file and key
 */
export function readDefinition(parts: TokenizerParts): TokenizerDefinition {
  const root = openPart(parts.tokenizerJson, 'tokenizer.json', parts.directory);
  const config = openPart(parts.tokenizerConfig, 'tokenizer_config.json', parts.directory);
  const map = openPart(parts.specialTokensMap, 'special_tokens_map.json', parts.directory);
  const generation = openPart(parts.generationConfig, 'generation_config.json', parts.directory);

  const model = root.at('model');
  const modelType = readModelType(model);
  const { vocabulary, scores } = readVocabulary(model, modelType);
  const merges = modelType === 'BPE' ? readMerges(model, vocabulary) : new Int32Array(0);
  const addedTokens = configuredAddedTokens(readAddedTokens(root, vocabulary), vocabulary, config, map);
  const { vocab: _vocab, merges: _merges, ...options } = model.object();
  const ids = specialTokenIds({ config, map, generation, model, vocabulary, addedTokens });
  const namedTokens = readNamedTokens(config, map);
  return {
    file: root.file,
    modelType,
    model: options,
    vocabulary,
    merges,
    scores,
    normalizer: root.at('normalizer').optionalObject() ?? null,
    preTokenizer: root.at('pre_tokenizer').optionalObject() ?? null,
    postProcessor:
      configuredPostProcessor(config, namedTokens, ids) ?? root.at('post_processor').optionalObject() ?? null,
    decoder: root.at('decoder').optionalObject() ?? null,
    addedTokens,
    config: config.object(),
    namedTokens,
    chatTemplates: readChatTemplates(config, parts.chatTemplate),
    ...ids,
  };
}

function readModelType(model: JsonReader): ModelType {
  const value = model.object();
  const type = model.at('type');
  if (!type.isPresent) {
    if (Array.isArray(value.vocab)) return 'Unigram';
    if ('merges' in value) return 'BPE';
    return 'continuing_subword_prefix' in value ? 'WordPiece' : 'WordLevel';
  }
  const known = MODEL_TYPES.find((name) => name === type.value);
  return (
    known ?? type.fail('unknown kind of model', { got: String(type.value), expected: MODEL_TYPES.join(', ') })
  );
}

function readAddedTokens(root: JsonReader, vocabulary: Vocabulary): AddedToken[] {
  const reader = root.at('added_tokens');
  if (!reader.isPresent) return [];
  const items = reader.items();
  const byId = new Map<number, string>();
  return items.map((item) => {
    const token = readAddedToken(item, item.at('id').value, vocabulary.count + items.length);
    // The model's own id wins, as in the library that wrote the file.
    const id = vocabulary.idOf(token.content) ?? token.id;
    const taken = vocabulary.tokenOf(id) ?? byId.get(id);
    if (taken !== undefined && taken !== token.content) {
      item.fail('two tokens have the same id', {
        got: `${id} for ${JSON.stringify(taken)} and ${JSON.stringify(token.content)}`,
      });
    }
    byId.set(id, token.content);
    return { ...token, id };
  });
}
