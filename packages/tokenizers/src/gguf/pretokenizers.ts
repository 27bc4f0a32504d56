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

/** A class of characters from ranges of code points: several would change if an editor normalized them. */
const characters = (ranges: string): string =>
  ranges
    .split(' ')
    .map((range) =>
      range
        .split('-')
        .map((code) => String.fromCodePoint(Number.parseInt(code, 16)))
        .join('-'),
    )
    .join('');

const CJK = `[${characters('4E00-9FA5 800-4E00 AC00-D7FF')}]+`;

/** Letters with case, as DeepSeek's first models list them. */
const CASED_LETTERS = characters(
  '41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C ' +
    '38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF ' +
    '1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D ' +
    '1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 ' +
    '1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F ' +
    '2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F ' +
    'A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 ' +
    '104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943',
);

const deepseekLlm = splitsJson([
  String.raw`[\r\n]`,
  String.raw`\s?[${CASED_LETTERS}]+`,
  String.raw`\s?[!-/:-~${characters('FF01-FF0F FF1A-FF5E 2018-201F 3000-3002')}]+`,
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
  `[${characters('4E00-9FA5 3040-309F 30A0-30FF')}]+`,
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
