import { CsvError, parse } from 'csv-parse';
import { DataError } from '../errors.js';
import { type DecodingOptions, decodeText } from './decode-text.js';
import { LONGEST_LINE } from './lines.js';
import type { SourceRecord } from './record.js';
import type { SourceFile } from './source-file.js';

const MEANINGS: Partial<Record<string, string>> = {
  CSV_RECORD_INCONSISTENT_COLUMNS: 'a row has more or fewer cells than the header',
  CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: 'a row has more or fewer cells than the header',
  CSV_QUOTE_NOT_CLOSED: 'a quote is never closed',
  CSV_INVALID_CLOSING_QUOTE: 'text follows a closing quote',
  INVALID_OPENING_QUOTE: 'a quote stands in the middle of a cell without quotes',
  CSV_MAX_RECORD_SIZE: 'a row does not end: a quote may never be closed',
};

/** Rows of comma- or tab-separated values whose first one is the header, as objects of text. @throws DataError with the line */
export async function* readCsv(file: SourceFile, options: DecodingOptions): AsyncGenerator<SourceRecord> {
  const parser = parse({
    columns: (header: string[]) => checkHeader(header, file.place),
    delimiter: file.delimiter,
    info: true,
    max_record_size: LONGEST_LINE,
    skip_empty_lines: true,
    encoding: options.repair ? 'utf8' : null,
  });
  const fed = feed(file, parser);
  fed.catch((error) => parser.destroy(error as Error));
  try {
    for await (const { info, record } of parser) {
      const place = `${file.place}:${info.lines}`;
      const cells = Object.entries(record as Record<string, string | Buffer>).map(([name, cell]) => [
        name,
        typeof cell === 'string' ? cell : decodeText(cell, place, options),
      ]);
      yield { place, value: Object.fromEntries(cells) };
    }
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    const what = MEANINGS[cause.code] ?? 'this is no CSV';
    const at = `${file.place}:${cause.lines ?? parser.info.lines}`;
    throw new DataError({ file: at, what, got: cause.message.replace(/\.$/, ''), cause });
  }
  await fed;
}

async function feed(file: SourceFile, parser: ReturnType<typeof parse>): Promise<void> {
  for await (const chunk of withoutMark(file.open())) {
    if (parser.destroyed) return;
    if (!parser.write(chunk))
      await new Promise((resolve) => parser.once('drain', resolve).once('close', resolve));
  }
  parser.end();
}

const MARK = Buffer.from('\uFEFF');

/** Without a byte order mark. The parser's own option for it decodes all that follows, with U+FFFD for what is no UTF-8. */
async function* withoutMark(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let start: Buffer | null = Buffer.alloc(0);
  for await (const chunk of bytes) {
    if (start === null) yield chunk;
    else {
      start = Buffer.concat([start, chunk]);
      if (start.length < MARK.length) continue;
      yield start.subarray(MARK.equals(start.subarray(0, MARK.length)) ? MARK.length : 0);
      start = null;
    }
  }
  if (start) yield start;
}

function checkHeader(header: readonly (string | Buffer)[], place: string): string[] {
  const names = header.map((name) =>
    (typeof name === 'string' ? name : decodeText(name, `${place}:1`)).trim(),
  );
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw new DataError({ file: `${place}:1`, what: 'two columns have one name', got: JSON.stringify(twice) });
}
