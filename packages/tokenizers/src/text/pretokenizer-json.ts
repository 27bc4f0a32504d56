import type { JsonObject } from '../file/json.js';
import { type PretokenizerName, WORD_PATTERNS } from './patterns.js';

/** The byte-level step, in the form of tokenizer.json; with `usesPattern` it cuts GPT-2's words itself. */
export const byteLevelJson = (usesPattern: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: usesPattern,
});

/** Splits one after another, then bytes. */
export const splitsJson = (patterns: readonly string[]): JsonObject => ({
  type: 'Sequence',
  pretokenizers: [
    ...patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
    byteLevelJson(false),
  ],
});

export const pretokenizerJson = (name: PretokenizerName): JsonObject =>
  name === 'gpt2' ? byteLevelJson(true) : splitsJson([WORD_PATTERNS[name]]);
