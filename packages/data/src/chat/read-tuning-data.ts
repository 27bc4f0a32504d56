import { extname } from 'node:path';
import type { Document } from '../documents.js';
import { DataError } from '../errors.js';
import { readDocuments, readJsonFile, readRecords, type SourceRecord } from '../text-files.js';
import { type ChatExample, chatExample, isChatRecord } from './chat-example.js';

/** What a model can be tuned on: conversations, or plain text. */
export type TuningData =
  | { readonly kind: 'chat'; readonly examples: readonly ChatExample[] }
  | { readonly kind: 'text'; readonly documents: readonly Document[] };

/**
 * Reads files of conversations (`.jsonl`, `.ndjson`, or a list in `.json`) or of text (`.jsonl` with `text`, and all other
 * files). What the first record is, all must be.
 * @throws DataError naming file and line of what cannot be read
 */
export async function readTuningData(paths: readonly string[]): Promise<TuningData> {
  const records: SourceRecord[] = [];
  const texts: string[] = [];
  for (const path of paths) {
    if (!/^\.(jsonl|ndjson|json)$/i.test(extname(path))) texts.push(path);
    else for await (const record of recordsOf(path)) records.push(record);
  }
  const firstChat = records.find(({ value }) => isChatRecord(value));
  if (!firstChat && paths.every((path) => !/\.json$/i.test(path))) {
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

async function* recordsOf(path: string): AsyncGenerator<SourceRecord> {
  if (extname(path).toLowerCase() !== '.json') return yield* readRecords(path);
  const list = await readJsonFile(path);
  if (!Array.isArray(list))
    throw new DataError({
      file: path,
      what: 'the file holds no list',
      got: typeof list,
      expected: 'a JSON list of conversations, or a .jsonl file with one per line',
    });
  for (const [i, value] of list.entries()) yield { place: `${path}[${i}]`, value };
}
