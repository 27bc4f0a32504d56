import { formatBytes, formatDuration, formatNumber, type NumberStyle } from './format.js';
import { displayWidth, escapeMarkup, singleLine, truncate } from './text.js';

/** Null and undefined are shown as a dash. */
export type Cell = string | number | boolean | null | undefined;

export interface Column extends NumberStyle {
  readonly title: string;
  /** How numbers are written; default by `digits`, `decimals` and `unit`. */
  readonly format?: 'bytes' | 'duration' | ((value: number) => string) | undefined;
  /** Default: right for columns with numbers, left for all others. */
  readonly align?: 'left' | 'right' | undefined;
}

export interface TableOptions {
  /** Cells of the widest column of text are shortened until a row fits. Default: no limit. */
  readonly maxWidth?: number | undefined;
  /** Column (by index) and direction whose best number is marked with a star (bold in HTML). */
  readonly best?:
    | readonly { readonly column: number; readonly direction: 'lowest' | 'highest' }[]
    | undefined;
}

type Row = readonly Cell[];

const MISSING = '–';
const GAP = '  ';
/** A column of text is never cut below this. */
const NARROWEST = 8;

/** A table for terminals and logs: a header, a line, rows; numbers to the right. Ends without a newline. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly Row[],
  options: TableOptions = {},
): string {
  const starred = bestCells(columns, rows, options);
  // Columns with a star keep room for it in every row, so that the numbers stay below one another.
  const star = (r: number, c: number) => {
    if (starred.has(`${r},${c}`)) return ' *';
    return options.best?.some(({ column }) => column === c) ? '  ' : '';
  };
  const texts = rows.map((row, r) => columns.map((column, c) => cellText(column, row[c]) + star(r, c)));
  const titles = columns.map(({ title }) => singleLine(title));
  const widths = columns.map((_, c) => Math.max(...[titles, ...texts].map((line) => displayWidth(line[c]))));
  shrink(widths, columns, rows, options.maxWidth);
  const aligns = columns.map((column, c) => alignment(column, rows, c));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, c) => pad(truncate(cell, widths[c]), widths[c], aligns[c]))
      .join(GAP)
      .trimEnd();
  return [line(titles), widths.map((width) => '─'.repeat(width)).join(GAP), ...texts.map(line)].join('\n');
}

/** The same as an HTML table element. */
export function htmlTable(
  columns: readonly Column[],
  rows: readonly Row[],
  options: TableOptions = {},
): string {
  const marked = bestCells(columns, rows, options);
  const aligns = columns.map((column, c) =>
    alignment(column, rows, c) === 'right' ? ' class="number"' : '',
  );
  const head = columns
    .map(({ title }, c) => `<th scope="col"${aligns[c]}>${escapeMarkup(title)}</th>`)
    .join('');
  const body = rows.map((row, r) => {
    const cells = columns.map((column, c) => {
      const text = escapeMarkup(cellText(column, row[c]));
      return `<td${aligns[c]}>${marked.has(`${r},${c}`) ? `<strong>${text}</strong>` : text}</td>`;
    });
    return `<tr>${cells.join('')}</tr>`;
  });
  return `<div class="table"><table>\n<thead><tr>${head}</tr></thead>\n<tbody>\n${body.join('\n')}\n</tbody>\n</table></div>`;
}

function cellText(column: Column, cell: Cell): string {
  if (cell === null || cell === undefined) return MISSING;
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  if (typeof cell === 'string') return singleLine(cell);
  const { format } = column;
  if (typeof format === 'function') return singleLine(format(cell));
  if (format === 'bytes') return formatBytes(cell, column.digits);
  return format === 'duration' ? formatDuration(cell) : formatNumber(cell, column);
}

function alignment({ align }: Column, rows: readonly Row[], index: number): 'left' | 'right' {
  return align ?? (rows.some((row) => typeof row[index] === 'number') ? 'right' : 'left');
}

/** Positions `row,column` of the best numbers; ties are all marked, a column with one number is not. */
function bestCells(
  columns: readonly Column[],
  rows: readonly Row[],
  { best = [] }: TableOptions,
): Set<string> {
  const marked = new Set<string>();
  for (const { column, direction } of best) {
    const numbers = rows
      .map((row) => row[column])
      .filter((cell) => typeof cell === 'number' && Number.isFinite(cell));
    if (column >= columns.length || new Set(numbers).size < 2) continue;
    const winner =
      direction === 'lowest' ? Math.min(...(numbers as number[])) : Math.max(...(numbers as number[]));
    rows.forEach((row, r) => {
      if (row[column] === winner) marked.add(`${r},${column}`);
    });
  }
  return marked;
}

function shrink(
  widths: number[],
  columns: readonly Column[],
  rows: readonly Row[],
  maxWidth: number | undefined,
): void {
  if (maxWidth === undefined) return;
  const textColumns = columns.flatMap((column, c) => (alignment(column, rows, c) === 'left' ? [c] : []));
  const total = () => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
  while (total() > maxWidth) {
    const widest = textColumns.reduce((best, c) => (widths[c] > (widths[best] ?? 0) ? c : best), -1);
    if (widest < 0 || widths[widest] <= NARROWEST) return;
    widths[widest]--;
  }
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'right' ? space + text : text + space;
}
