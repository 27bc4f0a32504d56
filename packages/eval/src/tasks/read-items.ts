import { parse as parseCsv } from 'csv-parse/sync';
import { TaskError } from '../errors.js';
import type { GenerationItem, Match, MultipleChoiceItem } from './item.js';
import { flawOf } from './match-answer.js';
import { fieldOf, multipleChoiceOf, type Record_ } from './record.js';

export type ItemFormat = 'csv' | 'jsonl';

export interface ReadItemsOptions {
  readonly format: ItemFormat;
  /** Of all items that name none themselves: C-Eval and CMMLU keep one file per subject. */
  readonly subject?: string | undefined;
  /** File, for messages. */
  readonly where?: string | undefined;
}

/**
 * Multiple-choice items from the layouts in use: C-Eval (`id,question,A,B,C,D,answer,explanation`), CMMLU (`Question`, `Answer`),
 * MMLU (no header), and JSONL with `choices` or `options` and `answer`, `answerKey`, `label` or `gold`.
 * @throws TaskError listing every item that cannot be read
 */
export function readMultipleChoice(text: string, options: ReadItemsOptions): MultipleChoiceItem[] {
  return convert(text, options, (record, line) =>
    multipleChoiceOf(record, { line, subject: options.subject }),
  );
}

/**
 * Items with an answer to write, from JSONL or CSV: `prompt` or `question`; `expected`, `answer` or `target` (a text or a list);
 * `match` (default `exact`).
 * An answer that nothing or everything would match is refused.
 * @throws TaskError listing every item that cannot be read
 */
export function readGeneration(
  text: string,
  options: ReadItemsOptions & { readonly match?: Match | undefined },
): GenerationItem[] {
  return convert(text, options, (record, line) => {
    const prompt = fieldOf(record, ['prompt', 'question', 'input']);
    const expected = fieldOf(record, ['expected', 'answer', 'target', 'output']);
    const match = (fieldOf(record, ['match']) ?? options.match ?? 'exact') as Match;
    if (typeof prompt !== 'string' || prompt.trim() === '') return 'no prompt';
    if (!MATCHES.has(match)) return `unknown match ${JSON.stringify(match)}`;
    const answers = (Array.isArray(expected) ? expected : [expected]).filter(
      (answer) => answer !== undefined && answer !== null,
    );
    if (answers.length === 0) return 'no expected answer';
    const texts = answers.map((answer) => (typeof answer === 'string' ? answer : JSON.stringify(answer)));
    for (const wanted of texts) {
      const flaw = flawOf(wanted, match);
      if (flaw !== undefined) return `expected ${JSON.stringify(wanted)} as ${match}: ${flaw}`;
    }
    const id = String(fieldOf(record, ['id']) ?? line);
    const subject = fieldOf(record, ['subject', 'category']) ?? options.subject;
    return { id, prompt, expected: texts, match, ...(subject !== undefined && { subject: String(subject) }) };
  });
}

const MATCHES = new Set<string>(['exact', 'contains', 'regex', 'json', 'number']);
/** Problems that a message names. */
const SHOWN = 10;

/** `read` gives an item, or says why not. */
function convert<Item>(
  text: string,
  { format, where = 'items' }: ReadItemsOptions,
  read: (record: Record_, line: number) => Item | string,
): Item[] {
  const items: Item[] = [];
  const problems: string[] = [];
  for (const { record, line } of format === 'csv' ? csvRecords(text, where) : jsonRecords(text)) {
    const item = typeof record === 'string' ? record : read(record, line);
    if (typeof item === 'string') problems.push(`line ${line}: ${item}`);
    else items.push(item as Item);
  }
  if (problems.length > 0) {
    const rest = problems.length - SHOWN;
    throw new TaskError({
      where,
      what: `${problems.length} item${problems.length === 1 ? '' : 's'} cannot be read`,
      got: `${problems.slice(0, SHOWN).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`,
    });
  }
  if (items.length === 0) throw new TaskError({ where, what: 'there are no items' });
  return items;
}

interface Line {
  /** A text says why there is none. */
  readonly record: Record_ | string;
  readonly line: number;
}

function jsonRecords(text: string): Line[] {
  const lines: Line[] = [];
  text.split('\n').forEach((source, index) => {
    if (source.trim() === '') return;
    try {
      const value: unknown = JSON.parse(source);
      const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
      lines.push({ record: isObject ? (value as Record_) : 'not an object', line: index + 1 });
    } catch {
      lines.push({ record: 'not JSON', line: index + 1 });
    }
  });
  return lines;
}

/** With a header where the first line has one; MMLU has none: question, choices, letter of the answer. */
function csvRecords(text: string, where: string): Line[] {
  let rows: { readonly record: string[]; readonly info: { readonly lines: number } }[];
  try {
    const options = { bom: true, info: true, relax_column_count: true, skip_empty_lines: true } as const;
    rows = parseCsv(text, options) as unknown as typeof rows; // its types do not know of `info`
  } catch (cause) {
    throw new TaskError({ where, what: 'the file is not CSV', got: (cause as Error).message, cause });
  }
  const first = rows[0]?.record ?? [];
  const hasHeader = first.some((name) => /^(question|prompt|input)$/i.test(name.trim()));
  const header = hasHeader
    ? first.map((name) => name.trim())
    : ['question', ...first.slice(1, -1).map((_, i) => String.fromCharCode(65 + i)), 'answer'];
  return rows.slice(hasHeader ? 1 : 0).map(({ record, info }) => ({
    record: Object.fromEntries(record.map((value, i) => [header[i] || `column ${i}`, value])),
    line: info.lines,
  }));
}
