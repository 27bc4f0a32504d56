import { isObject } from '../file/json.js';
import type { JsonReader } from '../file/json-reader.js';
import { compilePattern } from './patterns.js';

/** A pattern of tokenizer.json, `{ "Regex": … }` or `{ "String": … }`, as a global regular expression. */
export function readPattern(reader: JsonReader): RegExp {
  const { Regex, String: literal } = reader.object();
  if (typeof literal === 'string') return new RegExp(literal.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'), 'gu');
  if (typeof Regex !== 'string') return reader.fail('a pattern is neither a string nor a regular expression');
  try {
    return compilePattern(Regex);
  } catch (cause) {
    return reader.fail('a regular expression cannot be compiled', {
      got: Regex,
      cause,
      hint: 'Newer versions of @huggingface/tokenizers translate more of them.',
    });
  }
}

/** The text of a `{ "String": … }` pattern; undefined for regular expressions. */
export function literalPattern(reader: JsonReader): string | undefined {
  const { value } = reader;
  return isObject(value) && typeof value.String === 'string' ? value.String : undefined;
}
