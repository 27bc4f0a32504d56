import { join } from 'node:path';
import { continueLineage, openDataset, packDocuments, type TokenDataset } from '@frugal/data';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { exists } from '../files.js';
import { openSources } from '../sources.js';

/**
 * The tokens to train on: of a folder that was packed, or of files and data sets of the hub, packed into `OUT.training/data`
 * once. @throws DataError for what cannot be read, CommandError when a data set cannot be had
 */
export async function openTrainingData(
  data: string | readonly string[],
  tokenizer: Tokenizer,
  { out, resume }: { readonly out: string; readonly resume: boolean },
  context: Context,
): Promise<TokenDataset> {
  if (typeof data === 'string') return openDataset(data, { tokenizer });
  const folder = join(`${out}.training`, 'data');
  if (!(resume && (await exists(folder)))) {
    const { files, documents } = await openSources(data, {}, context);
    await packDocuments(documents(), tokenizer, folder, {
      separatorId: separatorOf(tokenizer, data.join(', ')),
      force: true,
      lineage: (counts) =>
        continueLineage(files, {
          step: 'pack',
          parameters: { tokenizer: tokenizer.fingerprint },
          counts: { documents: counts.documents, tokens: counts.tokens, bytes: counts.bytes },
        }),
      onProgress: () => context.signal.throwIfAborted(),
    });
  }
  return openDataset(folder, { tokenizer });
}

/** @throws CommandError when a tokenizer has no token to put between documents */
export function separatorOf({ eosIds, bosId }: Tokenizer, source: string): number {
  const id = eosIds[0] ?? bosId;
  if (id !== undefined) return id;
  throw new CommandError({
    where: source,
    what: 'the tokenizer has no token to separate documents with',
    expected: 'an end-of-text or beginning-of-text token in tokenizer_config.json',
  });
}
