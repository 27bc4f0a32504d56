import { TokenizerError } from '../errors.js';
import type { JsonObject, JsonValue } from '../file/json.js';
import type { Tokenizer } from '../tokenizer.js';
import { TOKEN_TYPE } from './metadata.js';
import { ggufPretokenizerName } from './pretokenizer-name.js';

/** A metadata field of GGUF, in the form of `@frugal/checkpoint`. */
export type GgufField =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'u32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'array'; readonly items: 'string'; readonly value: readonly string[] }
  | { readonly type: 'array'; readonly items: 'i32'; readonly value: Int32Array }
  | { readonly type: 'array'; readonly items: 'f32'; readonly value: Float32Array };

const KEY = 'tokenizer.ggml';
const BYTE_TOKEN = /^<0x[0-9A-F]{2}>$/;

/**
 * The metadata that hold a tokenizer in a GGUF file (`tokenizer.ggml.*`, `tokenizer.chat_template`), as llama.cpp reads
 * them. What a text gets around it, such as BOS, is always said, never left to defaults.
 * @param rows of the embedding: ids without a token are named, as there must be as many tokens
 * @throws TokenizerError for kinds of tokenizer that GGUF does not have
 */
export function tokenizerToGguf(
  tokenizer: Tokenizer,
  { rows = tokenizer.vocabularySize }: { readonly rows?: number } = {},
): Record<string, GgufField> {
  const json = tokenizer.toJSON();
  const model = json.model as JsonObject;
  if (model.type !== 'BPE') {
    throw new TokenizerError({
      where: 'tokenizerToGguf',
      what: 'GGUF files of this version hold BPE vocabularies only',
      got: String(model.type),
    });
  }
  const tokens = Array.from({ length: rows }, (_, id) => tokenizer.tokenOf(id) ?? `[PAD${id}]`);
  const sentencePiece = model.byte_fallback === true;
  return {
    ...(sentencePiece ? sentencePieceFields(json, tokenizer, rows) : byteLevelFields(json)),
    [`${KEY}.tokens`]: { type: 'array', items: 'string', value: tokens },
    [`${KEY}.token_type`]: { type: 'array', items: 'i32', value: tokenTypes(tokenizer, rows, sentencePiece) },
    ...roleFields(tokenizer),
    ...templateFields(tokenizer.chatTemplates),
  };
}

function byteLevelFields(json: JsonObject): Record<string, GgufField> {
  const { ignore_merges, merges } = json.model as JsonObject;
  const normalizer = json.normalizer as JsonObject | null;
  const pre = ggufPretokenizerName({
    preTokenizer: json.pre_tokenizer as JsonObject | null,
    ignoreMerges: ignore_merges === true,
    composes: JSON.stringify(normalizer ?? {}).includes('"NFC"'),
  });
  if (pre === undefined) {
    throw new TokenizerError({
      where: 'tokenizerToGguf',
      what: 'llama.cpp has no pre-tokenizer that cuts text as this one does',
      got: JSON.stringify(json.pre_tokenizer).slice(0, 200),
      hint: 'Keep the model as a directory with tokenizer.json.',
    });
  }
  const pairs = (merges as JsonValue[]).map((merge) =>
    Array.isArray(merge) ? merge.join(' ') : String(merge),
  );
  return {
    [`${KEY}.model`]: { type: 'string', value: 'gpt2' },
    [`${KEY}.pre`]: { type: 'string', value: pre },
    [`${KEY}.merges`]: { type: 'array', items: 'string', value: pairs },
  };
}

/** SentencePiece merges the piece of the highest score first: the first merge that makes a piece gives its rank. */
function sentencePieceFields(
  json: JsonObject,
  tokenizer: Tokenizer,
  rows: number,
): Record<string, GgufField> {
  const { merges } = json.model as JsonObject;
  const scores = new Float32Array(rows).fill(-1e6);
  (merges as JsonValue[]).forEach((merge, rank) => {
    const piece = Array.isArray(merge) ? merge.join('') : String(merge).replace(' ', '');
    const id = tokenizer.idOf(piece);
    if (id !== undefined && scores[id] === -1e6) scores[id] = -rank;
  });
  const prepends = /"Prepend"|"prepend_scheme":"(always|first)"/;
  const spaceFirst = prepends.test(JSON.stringify([json.normalizer, json.pre_tokenizer]));
  return {
    [`${KEY}.model`]: { type: 'string', value: 'llama' },
    [`${KEY}.pre`]: { type: 'string', value: 'default' },
    [`${KEY}.scores`]: { type: 'array', items: 'f32', value: scores },
    [`${KEY}.add_space_prefix`]: { type: 'bool', value: spaceFirst },
  };
}

function tokenTypes(tokenizer: Tokenizer, rows: number, sentencePiece: boolean): Int32Array {
  const added = new Map(tokenizer.addedTokens.map(({ id, special }) => [id, special]));
  const unknown = tokenizer.namedTokens.unk_token;
  return Int32Array.from({ length: rows }, (_, id) => {
    const token = tokenizer.tokenOf(id);
    if (token === undefined) return TOKEN_TYPE.unused;
    if (sentencePiece && BYTE_TOKEN.test(token)) return TOKEN_TYPE.byte;
    if (sentencePiece && token === unknown) return TOKEN_TYPE.unknown;
    if (!added.has(id)) return TOKEN_TYPE.normal;
    return added.get(id) ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
  });
}

function roleFields(tokenizer: Tokenizer): Record<string, GgufField> {
  const { bosId, eosId, addsBos, addsEos } = affixesOf(tokenizer);
  const unknown = tokenizer.namedTokens.unk_token;
  const ids = {
    bos_token_id: bosId,
    eos_token_id: eosId,
    eot_token_id: tokenizer.eosIds[1],
    padding_token_id: tokenizer.padId,
    unknown_token_id: unknown === undefined ? undefined : tokenizer.idOf(unknown),
  };
  const known = Object.entries(ids).flatMap(([name, value]) =>
    value === undefined ? [] : [[`${KEY}.${name}`, { type: 'u32', value } as const]],
  );
  return {
    ...Object.fromEntries(known),
    [`${KEY}.add_bos_token`]: { type: 'bool', value: addsBos },
    [`${KEY}.add_eos_token`]: { type: 'bool', value: addsEos },
  };
}

interface Affixes {
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
}

/**
 * BOS and EOS, and whether a text gets them. A token that is put before every text is BOS, named or not.
 * @throws TokenizerError for what GGUF cannot say: anything but BOS before and EOS after a text
 */
function affixesOf(tokenizer: Tokenizer): Affixes {
  const around = [...tokenizer.encode('')];
  const before = around.length > 0 && tokenizer.encode('a')[0] === around[0] ? around[0] : undefined;
  const after = around[before === undefined ? 0 : 1];
  const { bosId = before, eosIds } = tokenizer;
  const eosId = eosIds[0] ?? after;
  const count = Number(before !== undefined) + Number(after !== undefined);
  const isPlain = (before ?? bosId) === bosId && (after ?? eosId) === eosId && around.length === count;
  if (isPlain) return { bosId, eosId, addsBos: before !== undefined, addsEos: after !== undefined };
  throw new TokenizerError({
    where: 'tokenizerToGguf',
    what: 'GGUF cannot say what this tokenizer puts around a text',
    got: around.map((id) => tokenizer.tokenOf(id)).join(' '),
    expected: 'BOS before, EOS after, or nothing',
  });
}

function templateFields(templates: Readonly<Record<string, string>>): Record<string, GgufField> {
  const key = 'tokenizer.chat_template';
  const named = Object.entries(templates).filter(([name]) => name !== 'default');
  return {
    ...(templates.default !== undefined && { [key]: { type: 'string', value: templates.default } as const }),
    ...Object.fromEntries(
      named.map(([name, value]) => [`${key}.${name}`, { type: 'string', value } as const]),
    ),
    ...(named.length > 0 && {
      [`${key}s`]: { type: 'array', items: 'string', value: named.map(([name]) => name) } as const,
    }),
  };
}
