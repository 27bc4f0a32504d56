import type { Document } from '../documents.js';
import { DataError } from '../errors.js';
import { readCsv } from './csv.js';
import { type DecodingOptions, decodeText, wellFormed } from './decode-text.js';
import { splitLines } from './lines.js';
import { readParquet } from './parquet.js';
import type { SourceRecord } from './record.js';
import { openSource, type SourceFile, sourceKind } from './source-file.js';

export interface ReadingOptions extends DecodingOptions {
  /** Fields of records that hold text, id and label. Default: those names. */
  readonly fields?: { readonly text?: string; readonly id?: string; readonly label?: string };
}

/**
 * Documents from files: records of `.jsonl`, `.csv`, `.tsv` and `.parquet` files and lists in `.json` ones, with their field
 * `text` and optionally `id` and `label`; every other file is one document. `.gz` and `.zst` behind a name and `.zip` archives
 * are unpacked on the way. Text is UTF-8. Documents without text are left out.
 * @throws DataError naming file and line of what cannot be read
 */
export async function* readDocuments(
  paths: Iterable<string>,
  options: ReadingOptions = {},
): AsyncGenerator<Document> {
  for (const path of paths) {
    for await (const file of openSource(path)) {
      if (file.kind === 'text') {
        const text = decodeText(await readAll(file), file.place, options).replace(/^\uFEFF/, '');
        if (text) yield { id: file.place, text };
        continue;
      }
      for await (const record of recordsOf(file, options)) {
        const document = documentOf(record, options);
        if (document.text) yield document;
      }
    }
  }
}

/** Whether a file holds records: `readRecords` takes it. Archives do not say before they are opened. */
export function holdsRecords(path: string): boolean {
  return sourceKind(path) !== 'text';
}

/**
 * The values of a file of records: lines of JSON, a list in `.json`, or rows; empty lines are left out.
 * @throws DataError naming file and line of what cannot be read
 */
export async function* readRecords(
  path: string,
  options: DecodingOptions = {},
): AsyncGenerator<SourceRecord> {
  for await (const file of openSource(path)) yield* recordsOf(file, options);
}

async function* recordsOf(file: SourceFile, options: DecodingOptions): AsyncGenerator<SourceRecord> {
  switch (file.kind) {
    case 'csv':
      return yield* readCsv(file, options);
    case 'parquet':
      return yield* readParquet(file);
    case 'json':
      return yield* readList(file, options);
    default:
      return yield* readJsonLines(file, options);
  }
}

async function* readJsonLines(file: SourceFile, options: DecodingOptions): AsyncGenerator<SourceRecord> {
  let line = 0;
  for await (const bytes of splitLines(file.open(), file.place)) {
    line++;
    const place = `${file.place}:${line}`;
    const text = decodeText(bytes, place, options).trim();
    if (text) yield { place, value: parseJson(text, place, 'the line is not JSON') };
  }
}

async function* readList(file: SourceFile, options: DecodingOptions): AsyncGenerator<SourceRecord> {
  const { place } = file;
  const list = parseJson(decodeText(await readAll(file), place, options), place, 'the file is not JSON');
  if (!Array.isArray(list))
    throw new DataError({
      file: place,
      what: 'the file holds no list',
      got: list === null ? 'null' : typeof list,
      expected: 'a JSON list of records, or a .jsonl file with one per line',
    });
  for (const [i, value] of list.entries()) yield { place: `${place}[${i}]`, value };
}

function parseJson(text: string, place: string, what: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new DataError({ file: place, what, got: (cause as Error).message, cause });
  }
}

function documentOf({ place, value }: SourceRecord, options: ReadingOptions): Document {
  const fields = { text: 'text', id: 'id', label: 'label', ...options.fields };
  const record = (value ?? {}) as Record<string, unknown>;
  const text = record[fields.text];
  if (typeof text !== 'string') throw noText(place, value, fields.text);
  const id = record[fields.id];
  const label = record[fields.label];
  const name = typeof id === 'number' ? String(id) : id;
  return {
    id: typeof name === 'string' && name !== '' ? wellFormed(name, place, { repair: true }) : place,
    text: wellFormed(text, place, options),
    ...(typeof label === 'string' && label !== '' && { label }),
  };
}

function noText(place: string, value: unknown, field: string): DataError {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const strings = isObject ? Object.entries(value).filter(([, entry]) => typeof entry === 'string') : [];
  return new DataError({
    file: place,
    what: `the record has no text in the field ${JSON.stringify(field)}`,
    got: `${JSON.stringify(value)}`.slice(0, 60),
    expected: `{${JSON.stringify(field)}: "…"}`,
    ...(strings.length > 0 && {
      hint: `Fields with text: ${strings.map(([name]) => name).join(', ')}. Name one: --text-field ${strings[0][0]}.`,
    }),
  });
}

async function readAll(file: SourceFile): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.open()) chunks.push(chunk);
  return Buffer.concat(chunks);
}
