import { type Document, type ReadingOptions, readDocuments } from '@frugal/data';
import type { Command } from 'commander';
import type { Context } from './context.js';
import { CommandError } from './errors.js';
import { isHubReference } from './hub/reference.js';

/** What the verbs that read documents take as FILES. */
export const FILES_ARGUMENT = [
  '<FILES...>',
  'text (one document each), .jsonl, .json, .csv or .parquet (one record each), also .gz, .zst and .zip; or hf:datasets/org/name',
] as const;

export interface SourceOptions {
  readonly textField?: string;
}

/** The options of verbs with {@link FILES_ARGUMENT}. */
export function addSourceOptions(command: Command): Command {
  return command.option('--text-field <NAME>', 'the field of a record that holds its text', 'text');
}

/** The documents of files: as often as they are asked for. */
export interface Sources {
  /** On this machine. */
  readonly files: readonly string[];
  documents(): AsyncGenerator<Document>;
}

/** What is on this machine of FILES, after data sets of the hub were downloaded. @throws CommandError when one cannot be had */
export async function openSources(
  given: readonly string[],
  { textField }: SourceOptions,
  context: Context,
  reading: ReadingOptions = {},
): Promise<Sources> {
  const files = await localFiles(given, context);
  const fields = { ...(textField !== undefined && { text: textField }) };
  return { files, documents: () => readDocuments(files, { fields, ...reading }) };
}

/** Files without a single text are a wrong name or a step that went wrong, not a small result. @throws CommandError */
export function requireDocuments(where: string, count: number, files: readonly string[]): void {
  if (count > 0) return;
  throw new CommandError({
    where,
    what: 'the files hold no documents',
    got: files.join(', '),
    expected: 'at least one with text',
    hint: 'Look at what wrote them: empty files, empty lines and records with an empty text hold none.',
  });
}

/** The same files, with the names of data sets replaced by their files. */
export async function localFiles(given: readonly string[], context: Context): Promise<string[]> {
  const files: string[] = [];
  for (const source of given) {
    if (!isHubReference(source)) files.push(source);
    else files.push(...(await (await import('./hub/fetch-dataset.js')).fetchDataset(source, context)));
  }
  return files;
}
