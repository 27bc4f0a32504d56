import { createReadStream } from 'node:fs';
import { extname } from 'node:path';
import type { Document } from './documents.js';
import { DataError } from './errors.js';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/**
 * Documents from files of UTF-8 text. A `.jsonl` or `.ndjson` file has one object per line with `text`, and optionally
 * `id` and `label`; every other file is one document. Documents without text are left out.
 * @throws DataError naming file and line of what cannot be read
 */
export async function* readDocuments(paths: Iterable<string>): AsyncGenerator<Document> {
  for (const path of paths) {
    if (/^\.(jsonl|ndjson)$/i.test(extname(path))) yield* readJsonLines(path);
    else {
      const text = decode(await readAll(path), path).replace(/^\uFEFF/, '');
      if (text) yield { id: path, text };
    }
  }
}

async function* readJsonLines(path: string): AsyncGenerator<Document> {
  for await (const record of readRecords(path)) {
    const document = documentOf(record);
    if (document.text) yield document;
  }
}

/** One value of a file of many, with the name of its place for messages. */
export interface SourceRecord {
  readonly place: string;
  readonly value: unknown;
}

/**
 * The values of a file with one JSON value per line; empty lines are left out.
 * @throws DataError naming file and line of what cannot be read
 */
export async function* readRecords(path: string): AsyncGenerator<SourceRecord> {
  let line = 0;
  for await (const bytes of splitLines(path)) {
    line++;
    const place = `${path}:${line}`;
    const text = decode(bytes, place).trim();
    if (text) yield { place, value: parseJson(text, place, 'the line is not JSON') };
  }
}

/** A whole file as JSON. @throws DataError */
export async function readJsonFile(path: string): Promise<unknown> {
  return parseJson(decode(await readAll(path), path), path, 'the file is not JSON');
}

function parseJson(text: string, place: string, what: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    throw new DataError({ file: place, what, got: (cause as Error).message, cause });
  }
}

function documentOf({ place, value }: SourceRecord): Document {
  const { text, id, label } = (value ?? {}) as { text?: unknown; id?: unknown; label?: unknown };
  if (typeof text !== 'string') {
    const got = `${JSON.stringify(value)}`.slice(0, 60);
    throw new DataError({ file: place, what: 'the line has no text', got, expected: '{"text": "…"}' });
  }
  return {
    id: typeof id === 'string' && id !== '' ? id : place,
    text,
    ...(typeof label === 'string' && { label }),
  };
}

/** Lines as bytes, so that a piece of a file never ends in the middle of a character. */
async function* splitLines(path: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  for await (const chunk of chunksOf(path)) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield withoutReturn(Buffer.concat([...rest, chunk.subarray(start, end)]));
      rest = [];
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield withoutReturn(last);
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}

async function readAll(path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of chunksOf(path)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Buffer;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    if (code === 'ENOENT') throw new DataError({ file: path, what: 'there is no such file', cause });
    throw new DataError({ file: path, what: 'the file cannot be read', got: code, cause });
  }
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new DataError({
      file,
      what: 'not UTF-8 text',
      hint: 'Convert it first, for example with iconv.',
      cause,
    });
  }
}
