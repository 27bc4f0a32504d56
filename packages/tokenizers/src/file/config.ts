import type { AddedToken } from '../definition.js';
import { templateProcessing } from '../text/affixes.js';
import type { Vocabulary } from '../vocabulary.js';
import { readAddedToken, tokenContent } from './added-token.js';
import { isObject, type JsonObject } from './json.js';
import type { JsonReader } from './json-reader.js';

const NAMED_TOKENS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
];

/**
 * The added tokens of tokenizer.json completed by those that tokenizer_config.json and special_tokens_map.json name,
 * as transformers does: flags of the configuration win, and every named token is found in text whole.
 */
export function configuredAddedTokens(
  fromTokenizer: readonly AddedToken[],
  vocabulary: Vocabulary,
  config: JsonReader,
  map: JsonReader,
): AddedToken[] {
  const byContent = new Map(fromTokenizer.map((token) => [token.content, token]));
  const takenIds = new Set(fromTokenizer.map((token) => token.id));
  const decoder = config.at('added_tokens_decoder');
  for (const id of Object.keys(decoder.optionalObject() ?? {}).sort((a, b) => Number(a) - Number(b))) {
    const token = readAddedToken(decoder.at(id), Number(id), vocabulary.count + byContent.size);
    const known = byContent.get(token.content);
    const ownId = known?.id ?? vocabulary.idOf(token.content) ?? token.id;
    if (!known && (takenIds.has(ownId) || (vocabulary.tokenOf(ownId) ?? token.content) !== token.content)) {
      decoder
        .at(id)
        .fail('two tokens have the same id', { got: `${ownId} for ${JSON.stringify(token.content)}` });
    }
    byContent.set(token.content, {
      ...token,
      id: ownId,
      special: token.special || (known?.special ?? false),
    });
    takenIds.add(ownId);
  }
  let nextId = [...takenIds].reduce((next, id) => Math.max(next, id + 1), vocabulary.size);
  for (const content of specialContents(config, map)) {
    if (byContent.has(content)) continue;
    const id = vocabulary.idOf(content) ?? nextId++;
    byContent.set(content, specialToken(id, content));
  }
  return [...byContent.values()].sort((a, b) => a.id - b.id);
}

/** A control token as the trainers of Hugging Face make them. */
export const specialToken = (id: number, content: string): AddedToken => ({
  id,
  content,
  special: true,
  singleWord: false,
  stripLeft: false,
  stripRight: false,
  normalized: false,
});

/** Contents by role: `bos_token`, `eos_token`, … */
export function readNamedTokens(config: JsonReader, map: JsonReader): Record<string, string> {
  const named: Record<string, string> = {};
  for (const name of NAMED_TOKENS) {
    const content = namedToken(name, config, map);
    if (content !== undefined) named[name] = content;
  }
  return named;
}

/** Everything that a configuration calls a special token. */
function specialContents(config: JsonReader, map: JsonReader): string[] {
  const names: (string | undefined)[] = Object.values(readNamedTokens(config, map));
  for (const reader of [config, map]) {
    for (const key of ['additional_special_tokens', 'extra_special_tokens']) {
      const listed = reader.at(key);
      if (!listed.isPresent) continue;
      const items = isObject(listed.value)
        ? Object.keys(listed.value).map((name) => listed.at(name))
        : listed.items();
      names.push(...items.map(tokenContent));
    }
  }
  return names.filter((name) => name !== undefined);
}

const namedToken = (name: string, config: JsonReader, map: JsonReader): string | undefined =>
  tokenContent(config.at(name)) ?? tokenContent(map.at(name));

interface SpecialTokenSources {
  readonly config: JsonReader;
  readonly map: JsonReader;
  readonly generation: JsonReader;
  readonly model: JsonReader;
  readonly vocabulary: Vocabulary;
  readonly addedTokens: readonly AddedToken[];
}

export interface SpecialTokenIds {
  bosId: number | undefined;
  eosIds: number[];
  padId: number | undefined;
  unknownId: number | undefined;
}

export function specialTokenIds(sources: SpecialTokenSources): SpecialTokenIds {
  const { config, map, generation, model, vocabulary, addedTokens } = sources;
  const idOf = (content: string | undefined): number | undefined =>
    content === undefined
      ? undefined
      : (addedTokens.find((token) => token.content === content)?.id ?? vocabulary.idOf(content));
  const eosId = idOf(namedToken('eos_token', config, map));
  const unknownToken = model.at('unk_token');
  const unknownIndex = model.at('unk_id');
  return {
    bosId: idOf(namedToken('bos_token', config, map)) ?? firstId(generation.at('bos_token_id')),
    eosIds: [...new Set([...(eosId === undefined ? [] : [eosId]), ...idList(generation.at('eos_token_id'))])],
    padId: idOf(namedToken('pad_token', config, map)) ?? firstId(generation.at('pad_token_id')),
    unknownId: unknownIndex.isPresent ? unknownIndex.index() : idOf(unknownToken.optionalString()),
  };
}

/** Classes of transformers (4) whose `add_bos_token` and `add_eos_token` replace what tokenizer.json adds. */
const FLAG_CLASSES = /^(Llama|CodeLlama|Gemma|Cohere|GPTNeoX)Tokenizer(Fast)?$/;

/**
 * The post-processor that a configuration asks for by its flags: DeepSeek's files say BOS in no other place.
 * Undefined where tokenizer.json decides.
 */
export function configuredPostProcessor(
  config: JsonReader,
  namedTokens: Readonly<Record<string, string>>,
  ids: SpecialTokenIds,
): JsonObject | undefined {
  const name = config.at('tokenizer_class');
  const bos = config.at('add_bos_token');
  const eos = config.at('add_eos_token');
  if (!(bos.isPresent || eos.isPresent) || !FLAG_CLASSES.test(String(name.value))) return undefined;
  const token = (isAdded: boolean, content: string | undefined, id: number | undefined) =>
    isAdded && content !== undefined && id !== undefined ? [{ content, id }] : [];
  const bosByDefault = !String(name.value).startsWith('GPTNeoX');
  return templateProcessing(
    token(bos.boolean(bosByDefault), namedTokens.bos_token, ids.bosId),
    token(eos.boolean(false), namedTokens.eos_token, ids.eosIds[0]),
  );
}

function idList(reader: JsonReader): number[] {
  if (!reader.isPresent) return [];
  return Array.isArray(reader.value) ? reader.items().map((item) => item.index()) : [reader.index()];
}

const firstId = (reader: JsonReader): number | undefined => idList(reader)[0];

/** Chat templates by name. A template of its own file (chat_template.jinja) is the default one. */
export function readChatTemplates(config: JsonReader, file: string | undefined): Record<string, string> {
  const templates: Record<string, string> = Object.create(null);
  const reader = config.at('chat_template');
  if (typeof reader.value === 'string') templates.default = reader.value;
  else if (isObject(reader.value)) {
    for (const name of Object.keys(reader.value)) templates[name] = reader.at(name).string();
  } else if (reader.isPresent) {
    for (const item of reader.items()) templates[item.at('name').string()] = item.at('template').string();
  }
  if (file !== undefined) templates.default = file;
  return templates;
}
