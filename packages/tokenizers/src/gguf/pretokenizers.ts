import type { JsonObject } from '../file/json.js';
import { byteLevelJson, pretokenizerJson, splitsJson } from '../text/pretokenizer-json.js';

/** What a name in `tokenizer.ggml.pre` stands for. */
export interface GgufPretokenizer {
  readonly json: JsonObject;
  /** A word that is a token is that token. */
  readonly ignoreMerges?: boolean;
  /** llama.cpp adds BOS where the file does not say. */
  readonly addsBos?: boolean;
  /** The original tokenizer composes characters first (NFC), which GGUF does not record. */
  readonly composes?: boolean;
}

const digitsThenGpt2: JsonObject = {
  type: 'Sequence',
  pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevelJson(true)],
};

const CJK = '[一-龥ࠀ-一가-퟿]+';

/** Letters with case: Latin, Greek, Cyrillic, Armenian, Georgian, Cherokee and others. */
const CASED_LETTERS =
  'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼι' +
  'ῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ' +
  '\\u{10400}-\\u{1044f}\\u{104b0}-\\u{104d3}\\u{104d8}-\\u{104fb}\\u{10c80}-\\u{10cb2}\\u{10cc0}-\\u{10cf2}\\u{118a0}-\\u{118df}\\u{1e900}-\\u{1e943}';

const deepseekLlm = splitsJson([
  String.raw`[\r\n]`,
  String.raw`\s?[${CASED_LETTERS}]+`,
  String.raw`\s?[!-/:-~！-／：-～‘-‟　-。]+`,
  String.raw`\s+$`,
  CJK,
  String.raw`\p{N}+`,
]);

const deepseekCoder = splitsJson([
  String.raw`[\r\n]`,
  String.raw`\s?\p{L}+`,
  String.raw`\s?\p{P}+`,
  CJK,
  String.raw`\p{N}`,
]);

const deepseekV3 = splitsJson([
  String.raw`\p{N}{1,3}`,
  '[一-龥぀-ゟ゠-ヿ]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
]);

const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;

/** Words cut before capitals (tekken, GPT-4o); they differ in contractions and digits. */
const cutAtCapitals = (contractions: string, digits: string): JsonObject =>
  splitsJson([
    String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+${contractions}|[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*${contractions}|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ]);

const gpt2: GgufPretokenizer = { json: pretokenizerJson('gpt2') };
const smollm: GgufPretokenizer = { json: digitsThenGpt2 };
const llama3: GgufPretokenizer = { json: pretokenizerJson('llama3') };
const llamaBpe: GgufPretokenizer = { ...llama3, ignoreMerges: true, addsBos: true };
const qwen2: GgufPretokenizer = { json: pretokenizerJson('qwen2'), composes: true };
const v3: GgufPretokenizer = { json: deepseekV3 };
const gpt4o: GgufPretokenizer = {
  json: cutAtCapitals("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", String.raw`\p{N}{1,3}`),
};

/** By the names that llama.cpp's converter writes. */
const PRETOKENIZERS: Readonly<Record<string, GgufPretokenizer>> = {
  default: gpt2,
  'gpt-2': gpt2,
  'phi-2': gpt2,
  olmo: gpt2,
  mpt: gpt2,
  smollm,
  starcoder: smollm,
  refact: smollm,
  'command-r': smollm,
  codeshell: smollm,
  exaone: smollm,
  llama3: llamaBpe,
  'llama-v3': llamaBpe,
  'llama-bpe': llamaBpe,
  dbrx: llama3,
  'smaug-bpe': llama3,
  qwen2,
  'deepseek-r1-qwen': qwen2,
  stablelm2: { json: qwen2.json },
  'deepseek-llm': { json: deepseekLlm },
  'deepseek-coder': { json: deepseekCoder },
  'deepseek-v3': v3,
  'hunyuan-dense': v3,
  tekken: { json: cutAtCapitals('', String.raw`\p{N}`), ignoreMerges: true },
  'gpt-4o': gpt4o,
  llama4: gpt4o,
};

export const ggufPretokenizer = (name: string): GgufPretokenizer | undefined =>
  Object.hasOwn(PRETOKENIZERS, name) ? PRETOKENIZERS[name] : undefined;

export const GGUF_PRETOKENIZERS: readonly string[] = Object.keys(PRETOKENIZERS);
