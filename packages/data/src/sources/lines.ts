import { DataError } from '../errors.js';

const NEWLINE = 10;
const CARRIAGE_RETURN = 13;

/** More than this in one line is no record but a file without line breaks. */
export const LONGEST_LINE = 64 * 2 ** 20;

/** Lines as bytes, so that a piece of a file never ends in the middle of a character. @throws DataError for endless ones */
export async function* splitLines(bytes: AsyncIterable<Buffer>, place: string): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let length = 0;
  let line = 1;
  for await (const chunk of bytes) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      yield withoutReturn(
        rest.length === 0 ? chunk.subarray(start, end) : Buffer.concat([...rest, chunk.subarray(start, end)]),
      );
      rest = [];
      length = 0;
      line++;
      start = end + 1;
    }
    rest.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > LONGEST_LINE) throw tooLong(`${place}:${line}`, length);
  }
  const last = Buffer.concat(rest);
  if (last.length > 0) yield withoutReturn(last);
}

function tooLong(file: string, length: number): DataError {
  return new DataError({
    file,
    what: 'the line does not end',
    got: `more than ${length} bytes without a line break`,
    expected: `at most ${LONGEST_LINE / 2 ** 20} MiB per record`,
    hint: 'A .jsonl file has one object per line. Is it one JSON list (name it .json), or text (name it .txt)?',
  });
}

function withoutReturn(line: Buffer): Buffer {
  return line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
