import { SplitPreTokenizer } from '../library.js';

/** The names of the pre-tokenizers that a tokenizer can be trained with. */
export type PretokenizerName = 'gpt2' | 'llama3' | 'qwen2';

/** Word patterns in Oniguruma's syntax, as model files write them. */
export const WORD_PATTERNS: Readonly<Record<PretokenizerName, string>> = {
  gpt2: String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  llama3: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  qwen2: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
};

/**
 * Compiles a pattern in Oniguruma's syntax. The translation is the library's; it throws SyntaxError for what has no
 * counterpart in JavaScript.
 */
export function compilePattern(pattern: string): RegExp {
  const { pattern: compiled } = new SplitPreTokenizer({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  });
  if (!compiled) throw new SyntaxError(`cannot compile ${pattern}`);
  return pattern.includes('(?i:') ? foldBeyondAscii(compiled) : compiled;
}

/** Ignoring case, s also means ſ (U+017F) and k the Kelvin sign (U+212A); the translation folds ASCII alone. */
function foldBeyondAscii(compiled: RegExp): RegExp {
  const source = compiled.source.replace(/\[[a-zA-Z]+\]/g, (group) => {
    const folded = (lower: string, upper: string) => group.includes(lower) && group.includes(upper);
    return `${group.slice(0, -1)}${folded('s', 'S') ? '\u017f' : ''}${folded('k', 'K') ? '\u212a' : ''}]`;
  });
  return new RegExp(source, compiled.flags);
}
