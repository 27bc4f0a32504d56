import { readFile } from 'node:fs/promises';
import type { TokenConstraint } from '@frugal/tensor-core/generation';
import type { Tokenizer } from '@frugal/tokenizers';
import { CommandError } from './errors.js';

/**
 * What `--json-schema` demands of a text of at most `maxTokens` tokens.
 * @throws CommandError for a file that is no JSON, GrammarError for a schema that cannot be followed within the tokens
 */
export async function openConstraint(
  file: string | undefined,
  tokenizer: Tokenizer,
  maxTokens: number,
): Promise<TokenConstraint | undefined> {
  if (file === undefined) return undefined;
  const { CompiledFormats } = await import('@frugal/serve/grammar');
  const format = { type: 'json-schema', schema: await readJson(file) } as const;
  return new CompiledFormats(tokenizer, new Set(tokenizer.eosIds)).constraint(format, maxTokens);
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new CommandError({
      where: '--json-schema',
      what: 'the schema cannot be read',
      got: `${file}: ${cause instanceof Error ? cause.message : cause}`,
      cause,
    });
  }
}
