import type { Document } from '../documents.js';
import { DataError } from '../errors.js';
import { holdsRecords, readDocuments, readRecords } from '../sources/documents.js';
import type { SourceRecord } from '../sources/record.js';
import { type ChatExample, chatExample, isChatRecord } from './chat-example.js';

/** What a model can be tuned on: conversations, or plain text. */
export type TuningData =
  | { readonly kind: 'chat'; readonly examples: readonly ChatExample[] }
  | { readonly kind: 'text'; readonly documents: readonly Document[] };

/**
 * Reads files of conversations (records of any kind that `readDocuments` takes) or of text (records with `text`, and all
 * other files). What the first record is, all must be.
 * @throws DataError naming file and line of what cannot be read
 */
export async function readTuningData(paths: readonly string[]): Promise<TuningData> {
  const records: SourceRecord[] = [];
  const texts: string[] = [];
  for (const path of paths) {
    if (!holdsRecords(path)) texts.push(path);
    else for await (const record of readRecords(path)) records.push(record);
  }
  const firstChat = records.find(({ value }) => isChatRecord(value));
  if (!firstChat) {
    const documents: Document[] = [];
    for await (const document of readDocuments(paths)) documents.push(document);
    return { kind: 'text', documents };
  }
  if (texts.length > 0)
    throw new DataError({
      file: texts[0],
      what: 'plain text beside conversations',
      got: `conversations in ${firstChat?.place}`,
      expected: 'one kind of data',
      hint: 'Train on each in a run of its own.',
    });
  return { kind: 'chat', examples: records.map(chatExample) };
}
