import type { Tokenizer } from '@frugal/tokenizers';
import type { CompiledFormats, OutputFormat } from '../../src/grammar/index.js';

/** Writes a text in a format: chance chooses among the tokens that are allowed, until it ends. */
export function writeText(
  tokenizer: Tokenizer,
  formats: CompiledFormats,
  format: OutputFormat,
  maxTokens: number,
  draw: () => number,
): string {
  const constraint = formats.constraint(format, maxTokens);
  const { vocabularySize, eosIds } = tokenizer;
  const table = Float32Array.from({ length: vocabularySize + 997 }, draw);
  const ids: number[] = [];
  while (ids.length < maxTokens && !constraint.isComplete) {
    const logits = table.slice(Math.floor(draw() * 997)).subarray(0, vocabularySize);
    constraint.restrict(logits);
    const id = logits.reduce((best, value, i) => (value > logits[best] ? i : best), 0);
    if (logits[id] === Number.NEGATIVE_INFINITY)
      throw new Error(`nothing may follow ${tokenizer.decode(ids)}`);
    if (eosIds.includes(id)) break;
    constraint.accept(id);
    ids.push(id);
  }
  return tokenizer.decode(ids);
}
