import type { JsonObject } from '../file/json.js';
import { JsonReader } from '../file/json-reader.js';
import { SequenceNormalizer } from '../library.js';
import { charactersOfBytes } from './byte-alphabet.js';
import { literalPattern, readPattern } from './read-pattern.js';
import { utf8Bytes } from './utf8.js';

export type Normalizer = (text: string) => string;

/** Builds a normalizer of tokenizer.json through the library. `null` when there is nothing to do. */
export function createNormalizer(config: JsonObject | null, file: string): Normalizer | null {
  if (config === null) return null;
  const steps = flatten(new JsonReader(file, 'normalizer', config));
  if (steps.length === 0) return null;
  return (text) => steps.reduce((value, step) => step(value), text);
}

function flatten(reader: JsonReader): Normalizer[] {
  const type = reader.at('type').string();
  if (type === 'Sequence') return reader.at('normalizers').items().flatMap(flatten);
  const prepend = type === 'Prepend' ? reader.at('prepend').string() : '';
  // Nothing is put before nothing, which the library does not mind.
  if (type === 'Prepend') return [(text) => (text === '' ? '' : prepend + text)];
  if (type === 'Replace') return [createReplace(reader)];
  if (type === 'Strip') return [createStrip(reader)];
  if (type === 'ByteLevel') return [(text) => charactersOfBytes(utf8Bytes(text))];
  try {
    const step = new SequenceNormalizer({ type: 'Sequence', normalizers: [reader.object()] });
    return [(text) => step.normalize(text)];
  } catch (cause) {
    return reader.fail('unknown or damaged normalizer', { got: type, cause });
  }
}

function createReplace(reader: JsonReader): Normalizer {
  const content = reader.at('content').string();
  const search = literalPattern(reader.at('pattern')) ?? readPattern(reader.at('pattern'));
  return (text) => text.replaceAll(search, () => content);
}

/**
 * Unicode's white space, which `trim` is not: it takes U+FEFF and leaves U+0085. At the end it is looked for where a run begins:
 * a long one inside of a text would else take the square of its length.
 */
function createStrip(reader: JsonReader): Normalizer {
  const start = reader.at('strip_left').boolean(true);
  const end = reader.at('strip_right').boolean(true);
  return (text) => {
    const rest = start ? text.replace(/^\p{White_Space}+/u, '') : text;
    return end ? rest.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, '') : rest;
  };
}
