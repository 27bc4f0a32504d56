import { formatNumber } from '../format.js';
import { truncate } from '../text.js';
import {
  type ChartOptions,
  emptyNote,
  header,
  horizontalAxis,
  labelRoom,
  MARGIN,
  type Plot,
  verticalAxis,
} from './frame.js';
import { createScale, isDrawable, type ScaleType } from './scale.js';
import { seriesClass } from './style.js';
import { element, FONT_BOX, polyline, svgDocument, textElement, textWidth, tooltip } from './svg.js';

export interface ScatterPoint {
  readonly x: number;
  readonly y: number;
  /** Written beside the point. */
  readonly label?: string | undefined;
}

export interface ScatterSeries {
  readonly name: string;
  readonly points: readonly ScatterPoint[];
}

export interface ScatterChartOptions extends ChartOptions {
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly ScatterSeries[];
  /** Values that are not positive are left out of logarithmic axes. */
  readonly xScale?: ScaleType | undefined;
  readonly yScale?: ScaleType | undefined;
  /** Joins the points that no other point beats in both directions (Pareto frontier). */
  readonly frontier?: { readonly x: 'lowest' | 'highest'; readonly y: 'lowest' | 'highest' } | undefined;
}

interface Placed extends ScatterPoint {
  readonly series: number;
  readonly px: number;
  readonly py: number;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const RADIUS = 5;
const LABEL_CELLS = 28;

/** Points with labels, for trade-offs: size against quality, speed against loss. Returns an SVG document. */
export function scatterChart(options: ScatterChartOptions): string {
  const { title, xLabel, yLabel, series, xScale: xType, yScale: yType, width = 720, height = 420 } = options;
  const points = series.flatMap(({ points: own }, s) =>
    own
      .filter(({ x, y }) => isDrawable(x, xType) && isDrawable(y, yType))
      .map((point) => ({ ...point, series: s })),
  );
  const top = header(
    options,
    series.length > 1 ? series.map(({ name }, i) => ({ name, className: seriesClass(i) })) : [],
    width,
  );
  const vertical = { top: top.bottom + 30, bottom: height - 54 };
  const y = createScale(
    points.map((point) => point.y),
    { type: yType, range: [vertical.bottom, vertical.top], ticks: 5, round: true },
  );
  const plot: Plot = { ...vertical, left: MARGIN + labelRoom(y), right: width - MARGIN };
  const x = createScale(
    points.map((point) => point.x),
    {
      type: xType,
      range: [plot.left, plot.right],
      ticks: Math.max(2, Math.floor((plot.right - plot.left) / 100)),
      round: true,
    },
  );
  const placed = points.map(
    (point): Placed => ({ ...point, px: x.position(point.x), py: y.position(point.y) }),
  );
  return svgDocument({ width, height, title, description: `Points of ${yLabel} over ${xLabel}` }, [
    ...top.markup,
    ...verticalAxis(plot, y, yLabel),
    ...horizontalAxis(plot, x, xLabel, true),
    ...frontierLine(placed, options),
    ...placed.map((point) => drawPoint(point, series[point.series].name, options)),
    ...placeLabels(placed, plot),
    ...(placed.length === 0 ? [emptyNote(plot)] : []),
  ]);
}

function drawPoint(
  { px, py, x, y, series, label }: Placed,
  name: string,
  { xLabel, yLabel }: ScatterChartOptions,
): string {
  const facts = `${label ? `${label} (${name})` : name}: ${xLabel} ${formatNumber(x)}, ${yLabel} ${formatNumber(y)}`;
  return element(
    'g',
    { class: seriesClass(series) },
    tooltip(facts),
    element('circle', { class: 'mark', cx: px, cy: py, r: RADIUS }),
  );
}

/** A staircase: between two points of the frontier nothing better is known than the worse one. */
function frontierLine(points: readonly Placed[], { frontier }: ScatterChartOptions): string[] {
  if (!frontier) return [];
  const better = (a: number, b: number, direction: 'lowest' | 'highest') =>
    direction === 'lowest' ? a < b : a > b;
  const dominates = (a: ScatterPoint, b: ScatterPoint) =>
    !better(b.x, a.x, frontier.x) && !better(b.y, a.y, frontier.y) && (a.x !== b.x || a.y !== b.y);
  const best = points
    .filter((point) => !points.some((other) => dominates(other, point)))
    .sort((a, b) => a.px - b.px);
  if (best.length < 2) return [];
  const corner = (from: Placed, to: Placed): readonly [number, number] =>
    frontier.x === 'lowest' ? [to.px, from.py] : [from.px, to.py];
  const path = best.flatMap((point, i) =>
    (i === 0 ? [] : [corner(best[i - 1], point)]).concat([[point.px, point.py]]),
  );
  return [element('path', { class: 'frontier', d: polyline(path) })];
}

/** Each label goes to the side where it covers least. */
function placeLabels(points: readonly Placed[], plot: Plot): string[] {
  const taken: Box[] = points.map(({ px, py }) => ({
    x: px - RADIUS,
    y: py - RADIUS,
    width: 2 * RADIUS,
    height: 2 * RADIUS,
  }));
  return points.flatMap(({ label, px, py, series }) => {
    if (!label) return [];
    const text = truncate(label, LABEL_CELLS);
    const size = { width: textWidth(text), height: FONT_BOX };
    const choices: Box[] = [
      { ...size, x: px + RADIUS + 4, y: py - FONT_BOX / 2 },
      { ...size, x: px - size.width / 2, y: py - RADIUS - 3 - FONT_BOX },
      { ...size, x: px - size.width / 2, y: py + RADIUS + 3 },
      { ...size, x: px - RADIUS - 4 - size.width, y: py - FONT_BOX / 2 },
      { ...size, x: px + RADIUS + 1, y: py - RADIUS - FONT_BOX },
      { ...size, x: px + RADIUS + 1, y: py + RADIUS },
    ];
    const costs = choices.map((box) =>
      taken.reduce((sum, other) => sum + overlap(box, other), outside(box, plot)),
    );
    const chosen = choices[costs.indexOf(Math.min(...costs))];
    taken.push(chosen);
    const attributes = { class: 'label', x: chosen.x, y: chosen.y + FONT_BOX - 4 };
    return [element('g', { class: seriesClass(series) }, textElement(text, attributes))];
  });
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

/** Leaving the plot costs more than covering something. */
function outside(box: Box, { left, right, top, bottom }: Plot): number {
  const beyond = Math.max(0, left - box.x) + Math.max(0, box.x + box.width - right - MARGIN / 2);
  return 100 * (beyond + Math.max(0, top - box.y) + Math.max(0, box.y + box.height - bottom));
}
