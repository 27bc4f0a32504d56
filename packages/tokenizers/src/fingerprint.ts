import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { TokenizerDefinition } from './definition.js';
import { addedTokenJson } from './file/added-token.js';
import { canonicalJson } from './file/json.js';
import type { Affixes } from './text/affixes.js';

/** Tokens are hashed in batches: one call per token would cost more than the hash. */
const BATCH = 4096;

/** SHA-256 of what decides ids and texts. Components are compared as canonical JSON: key order and nulls do not count. */
export function fingerprintOf(definition: TokenizerDefinition, affixes: Affixes): string {
  const { modelType, model, vocabulary, merges, scores, normalizer, preTokenizer, decoder, addedTokens } =
    definition;
  const hash = sha256.create();
  const components = { modelType, model, normalizer, preTokenizer, decoder, affixes };
  hash.update(utf8ToBytes(`${canonicalJson(components)}\n`));
  hash.update(utf8ToBytes(`${canonicalJson(addedTokens.map(addedTokenJson))}\n`));
  let lines: string[] = [];
  const flush = (): void => {
    hash.update(utf8ToBytes(lines.join('')));
    lines = [];
  };
  for (const [id, token] of vocabulary.entries()) {
    lines.push(`${JSON.stringify([id, token, scores?.[id]])}\n`);
    if (lines.length >= BATCH) flush();
  }
  for (let i = 0; i < merges.length; i += 2) {
    lines.push(`${merges[i]} ${merges[i + 1]}\n`);
    if (lines.length >= BATCH) flush();
  }
  flush();
  return bytesToHex(hash.digest());
}
