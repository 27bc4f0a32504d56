import { truncate } from '../text.js';
import {
  type ChartOptions,
  emptyNote,
  header,
  horizontalAxis,
  LINE,
  labelRoom,
  MARGIN,
  type Plot,
  verticalAxis,
} from './frame.js';
import { createScale, isDrawable, type Scale, type ScaleType } from './scale.js';
import { COLORS, seriesClass } from './style.js';
import { element, polyline, svgDocument, textElement, textWidth, tooltip } from './svg.js';

export interface LineSeries {
  readonly name: string;
  /** In the order in which they are joined. A value that is not finite leaves a gap. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LineChartOptions extends ChartOptions {
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly LineSeries[];
  /** Values that are not positive are left out of logarithmic axes. */
  readonly xScale?: ScaleType | undefined;
  readonly yScale?: ScaleType | undefined;
}

type Point = readonly [x: number, y: number];

const LABEL_CELLS = 28;

/** Lines over a numeric axis, each named at its end. Returns an SVG document. */
export function lineChart(options: LineChartOptions): string {
  const { title, xLabel, yLabel, xScale: xType, yScale: yType, width = 720, height = 420 } = options;
  const series = options.series.map(({ name, points }) => ({
    name: truncate(name, LABEL_CELLS),
    runs: drawableRuns(points, xType, yType),
  }));
  const top = header(options, [], width);
  const all = series.flatMap(({ runs }) => runs.flat());
  const names = series.filter(({ runs }) => runs.length > 0).map(({ name }) => textWidth(name));
  const right = width - Math.max(MARGIN, ...names.map((room) => room + MARGIN + 12));
  const vertical = { top: top.bottom + 30, bottom: height - 54 };
  const y = createScale(
    all.map(([, value]) => value),
    { type: yType, range: [vertical.bottom, vertical.top], ticks: 5, round: true },
  );
  const plot: Plot = { ...vertical, left: MARGIN + labelRoom(y), right };
  const x = createScale(
    all.map(([value]) => value),
    { type: xType, range: [plot.left, right], ticks: Math.max(2, Math.floor((right - plot.left) / 90)) },
  );
  const lines = series.map(({ name, runs }, i) => drawLine(runs, name, i, x, y));
  return svgDocument(
    {
      width,
      height,
      title,
      description: `Lines of ${yLabel} over ${xLabel}: ${series.map(({ name }) => name).join(', ')}`,
    },
    [
      ...top.markup,
      ...verticalAxis(plot, y, yLabel),
      ...horizontalAxis(plot, x, xLabel, false),
      ...lines,
      ...endLabels(series, plot, x, y),
      ...(all.length === 0 ? [emptyNote(plot)] : []),
    ],
  );
}

/** Cuts a series where a value cannot be drawn. */
function drawableRuns(
  points: readonly Point[],
  xType: ScaleType | undefined,
  yType: ScaleType | undefined,
): Point[][] {
  const runs: Point[][] = [];
  let open = false;
  for (const point of points) {
    const drawable = isDrawable(point[0], xType) && isDrawable(point[1], yType);
    if (drawable && open) runs[runs.length - 1].push(point);
    else if (drawable) runs.push([point]);
    open = drawable;
  }
  return runs;
}

function drawLine(
  runs: readonly (readonly Point[])[],
  name: string,
  index: number,
  x: Scale,
  y: Scale,
): string {
  const marks = runs.map((run) => {
    const points = thin(run.map(([px, py]) => [x.position(px), y.position(py)]));
    if (points.length === 1)
      return element('circle', { class: 'mark', cx: points[0][0], cy: points[0][1], r: 4 });
    return element('path', { class: index < COLORS ? 'line' : 'line dashed', d: polyline(points) });
  });
  return element('g', { class: seriesClass(index) }, tooltip(name), ...marks);
}

/** At most four points per pixel column (first, lowest, highest, last): looks the same, and files stay small. */
function thin(points: readonly Point[]): Point[] {
  const kept: Point[] = [];
  let column: Point[] = [];
  const flush = () => {
    const chosen = new Set([column[0], extreme(column, 1), extreme(column, -1), column[column.length - 1]]);
    kept.push(...column.filter((point) => chosen.has(point)));
    column = [];
  };
  for (const point of points) {
    if (column.length > 0 && Math.floor(point[0]) !== Math.floor(column[0][0])) flush();
    column.push(point);
  }
  if (column.length > 0) flush();
  return kept;
}

function extreme(points: readonly Point[], sign: 1 | -1): Point {
  return points.reduce((best, point) => (sign * point[1] < sign * best[1] ? point : best));
}

/** Names beside the ends of the lines, pushed apart where they would overlap. */
function endLabels(
  series: readonly { name: string; runs: readonly (readonly Point[])[] }[],
  plot: Plot,
  x: Scale,
  y: Scale,
): string[] {
  const ends = series.flatMap(({ name, runs }, index) => {
    const last = runs.at(-1)?.at(-1);
    return last ? [{ name, index, x: x.position(last[0]), y: y.position(last[1]) }] : [];
  });
  ends.sort((a, b) => a.y - b.y);
  const places = spread(
    ends.map((end) => end.y),
    plot.top,
    plot.bottom,
    LINE - 2,
  );
  return ends.map(({ name, index, x: endX, y: endY }, i) => {
    const labelX = plot.right + 10;
    const moved = Math.abs(places[i] - endY) > 3 || plot.right - endX > 3;
    const leader = moved
      ? [
          element('path', {
            class: 'leader',
            d: polyline([
              [endX + 4, endY],
              [labelX - 3, places[i]],
            ]),
          }),
        ]
      : [];
    const dot = element('circle', { class: 'mark', cx: endX, cy: endY, r: 4 });
    const text = textElement(name, { class: 'label', x: labelX, y: places[i] + 4 });
    return element('g', { class: seriesClass(index) }, ...leader, dot, text);
  });
}

/** Moves sorted positions as little as a single pass down and one up can, so that neighbours keep a distance. */
function spread(positions: readonly number[], low: number, high: number, distance: number): number[] {
  const placed = [...positions];
  for (let i = 1; i < placed.length; i++) placed[i] = Math.max(placed[i], placed[i - 1] + distance);
  if (placed.length > 0 && placed[placed.length - 1] > high) placed[placed.length - 1] = high;
  for (let i = placed.length - 2; i >= 0; i--) placed[i] = Math.min(placed[i], placed[i + 1] - distance);
  const overshoot = Math.max(0, low - (placed[0] ?? low));
  return placed.map((position) => position + overshoot);
}
