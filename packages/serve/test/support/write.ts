import type { Tokenizer } from '@frugal/tokenizers';
import type { CompiledFormats, OutputFormat } from '../../src/grammar/index.js';

/**
 * Writes a text in a format: chance chooses among the tokens that are allowed, until it ends. One in ten times it begins with
 * `often`, as far as that is allowed.
 */
export function writeText(
  tokenizer: Tokenizer,
  formats: CompiledFormats,
  format: OutputFormat,
  maxTokens: number,
  draw: () => number,
  often: readonly number[] = [],
): string {
  const constraint = formats.constraint(format, maxTokens);
  const { vocabularySize, eosIds } = tokenizer;
  const table = Float32Array.from({ length: vocabularySize + 997 }, draw);
  const ids: number[] = [];
  let [written, isWriting] = [0, false];
  while (ids.length < maxTokens && !constraint.isComplete) {
    const logits = table.slice(Math.floor(draw() * 997)).subarray(0, vocabularySize);
    isWriting &&= written < often.length;
    if (!isWriting && draw() < 0.1) [written, isWriting] = [0, often.length > 0];
    if (isWriting) logits[often[written]] += 1;
    constraint.restrict(logits);
    const id = logits.reduce((best, value, i) => (value > logits[best] ? i : best), 0);
    if (logits[id] === Number.NEGATIVE_INFINITY)
      throw new Error(`nothing may follow ${tokenizer.decode(ids)}`);
    isWriting &&= id === often[written++];
    if (eosIds.includes(id)) break;
    constraint.accept(id);
    ids.push(id);
  }
  return tokenizer.decode(ids, { skipSpecialTokens: false });
}
