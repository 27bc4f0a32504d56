import { formatNumber, type NumberStyle } from '../format.js';
import { truncate } from '../text.js';
import { type ChartOptions, emptyNote, header, MARGIN, type Plot } from './frame.js';
import { isDrawable } from './scale.js';
import { seriesClass } from './style.js';
import { element, svgDocument, textElement, textWidth, tooltip } from './svg.js';

export interface HeatMapOptions extends ChartOptions {
  /** Names of the two axes. */
  readonly xLabel: string;
  readonly yLabel: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** [rows, columns]; 0 is the surface, the largest the full colour; null or NaN: nothing is drawn. */
  readonly values: readonly (readonly (number | null)[])[];
  /** What the full colour stands for; default: the largest value. Maps with the same one can be compared. */
  readonly maximum?: number | undefined;
  readonly numbers?: NumberStyle | undefined;
}

const CELL_HEIGHT = 20;
const ROW_LABEL_CELLS = 28;
const COLUMN_LABEL_ROOM = 22;

/** A grid of cells, darker for larger values from zero on; each tells its number to a resting pointer. An SVG document. */
export function heatMap(options: HeatMapOptions): string {
  const { title, xLabel, yLabel, columns, rows, values, numbers, width = 720 } = options;
  const top = header(options, [], width);
  const names = rows.map((name) => truncate(name, ROW_LABEL_CELLS));
  const plot: Plot = {
    left: MARGIN + Math.max(8, ...names.map((name) => textWidth(name))) + 12,
    right: width - MARGIN,
    top: top.bottom + 24,
    bottom: top.bottom + 24 + Math.max(1, rows.length) * CELL_HEIGHT,
  };
  const drawable = values.flat().filter((value): value is number => value !== null && isDrawable(value));
  const largest = options.maximum ?? Math.max(0, ...drawable);
  const cellWidth = (plot.right - plot.left) / Math.max(1, columns.length);
  const cells = values.flatMap((row, r) =>
    row.map((value, c) => {
      if (value === null || !isDrawable(value)) return '';
      const strength = largest > 0 ? Math.min(1, Math.max(0, value / largest)) : 0;
      return element(
        'rect',
        {
          class: 'bar',
          'fill-opacity': strength.toFixed(3),
          x: plot.left + c * cellWidth,
          y: plot.top + r * CELL_HEIGHT,
          width: cellWidth,
          height: CELL_HEIGHT,
        },
        tooltip(`${rows[r]}, ${columns[c]}: ${formatNumber(value, numbers)}`),
      );
    }),
  );
  const rowLabels = names.map((name, r) =>
    textElement(name, {
      class: 'text',
      x: plot.left - 10,
      y: plot.top + r * CELL_HEIGHT + CELL_HEIGHT / 2 + 4,
      'text-anchor': 'end',
    }),
  );
  const frame = element('rect', {
    class: 'axis',
    fill: 'none',
    x: plot.left,
    y: plot.top,
    width: plot.right - plot.left,
    height: plot.bottom - plot.top,
  });
  const height = options.height ?? plot.bottom + 46;
  const description = `Grid of ${yLabel} by ${xLabel}; the darkest cell is ${formatNumber(largest, numbers)}`;
  return svgDocument({ width, height, title, description }, [
    ...top.markup,
    textElement(yLabel, { class: 'text', x: MARGIN, y: plot.top - 10 }),
    element('g', { class: seriesClass(0) }, ...cells),
    ...rowLabels,
    ...columnLabels(columns, plot, cellWidth),
    textElement(xLabel, { class: 'text', x: plot.right, y: plot.bottom + 36, 'text-anchor': 'end' }),
    frame,
    ...(drawable.length === 0 ? [emptyNote(plot)] : []),
  ]);
}

/** As many as have room, evenly. */
function columnLabels(columns: readonly string[], plot: Plot, cellWidth: number): string[] {
  const room = Math.max(COLUMN_LABEL_ROOM, ...columns.map((name) => textWidth(name) + 8));
  const step = Math.max(1, Math.ceil(room / cellWidth));
  return columns.flatMap((name, c) =>
    c % step === 0
      ? [
          textElement(name, {
            class: 'muted value',
            x: plot.left + (c + 0.5) * cellWidth,
            y: plot.bottom + 18,
            'text-anchor': 'middle',
          }),
        ]
      : [],
  );
}
