import { basename, extname } from 'node:path';
import { readDocuments } from '@frugal/data';
import type { Tokenizer } from '@frugal/tokenizers';
import { CommandError, UsageError } from './errors.js';

/** Texts of one kind. */
export interface Domain {
  readonly name: string;
  readonly texts: readonly string[];
}

/** What `--text` takes where kinds of text are told apart. */
export const DOMAIN_TEXT =
  'texts by domain: NAME=FILE, or FILE alone, which is called after itself; text or .jsonl';

/**
 * Domains from `NAME=FILE` arguments; files of one name are one domain.
 * @throws UsageError for an argument without a file, CommandError for a domain without text
 */
export async function readDomains(inputs: readonly string[]): Promise<Domain[]> {
  const texts = new Map<string, string[]>();
  for (const input of inputs) {
    const { name = nameOf(input), file } = namedFile(input, '--text');
    const own = texts.get(name) ?? [];
    for await (const { text } of readDocuments([file])) own.push(text);
    texts.set(name, own);
  }
  return [...texts].map(([name, own]) => {
    if (own.every((text) => text.trim() === ''))
      throw new CommandError({ where: `--text ${name}`, what: 'the domain has no text' });
    return { name, texts: own };
  });
}

/** `NAME=FILE`, or a file without a name. @throws UsageError for a name without a file */
export function namedFile(input: string, where: string): { readonly name?: string; readonly file: string } {
  const [, name, file] = /^([^=/\\]+)=(.*)$/.exec(input) ?? [];
  if (name === undefined) return { file: input };
  if (file) return { name, file };
  throw new UsageError({ where, what: 'there is no file behind the name', got: input });
}

function nameOf(file: string): string {
  return basename(file, extname(file));
}

/**
 * Windows of at most `length` tokens (two or more), in the order of the texts, until there are `tokens` of them.
 * @throws CommandError when there is not one window
 */
export function windowsOf(
  tokenizer: Pick<Tokenizer, 'encode'>,
  { name, texts }: Domain,
  { length, tokens }: { readonly length: number; readonly tokens: number },
): Int32Array[] {
  const windows: Int32Array[] = [];
  let used = 0;
  for (const text of texts) {
    // A part of a long text that surely has enough.
    const ids = tokenizer.encode(text.slice(0, 16 * (tokens - used) + 16), { parseSpecialTokens: false });
    for (let start = 0; start < ids.length && used < tokens; start += length) {
      const window = ids.slice(start, start + Math.min(length, tokens - used));
      if (window.length < 2) continue;
      windows.push(window);
      used += window.length;
    }
    if (used >= tokens) break;
  }
  if (windows.length > 0) return windows;
  throw new CommandError({ where: `--text ${name}`, what: 'the text is shorter than two tokens' });
}
