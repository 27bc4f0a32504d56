import type { AddedToken } from '../definition.js';
import { isObject, type JsonObject } from './json.js';
import type { JsonReader } from './json-reader.js';
import { checkId } from './vocabulary.js';

/** Reads one added token; `id` is given apart, because tokenizer_config.json keeps it as the key. */
export function readAddedToken(reader: JsonReader, id: unknown, count: number): AddedToken {
  reader.object();
  const content = reader.at('content').string();
  const special = reader.at('special').boolean(false);
  return {
    id: checkId(reader, id, count, content),
    content,
    special,
    singleWord: reader.at('single_word').boolean(false),
    stripLeft: reader.at('lstrip').boolean(false),
    stripRight: reader.at('rstrip').boolean(false),
    normalized: reader.at('normalized').boolean(!special),
  };
}

/** The content of a special token, which is written as a string or as an object with `content`. */
export function tokenContent(reader: JsonReader): string | undefined {
  if (!reader.isPresent) return undefined;
  return isObject(reader.value) ? reader.at('content').string() : reader.string();
}

/** The form of tokenizer.json. */
export const addedTokenJson = (token: AddedToken): JsonObject => ({
  id: token.id,
  content: token.content,
  single_word: token.singleWord,
  lstrip: token.stripLeft,
  rstrip: token.stripRight,
  normalized: token.normalized,
  special: token.special,
});
