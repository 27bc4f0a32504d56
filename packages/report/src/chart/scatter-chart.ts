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
import { around, LABEL_HEIGHT, placeLabels, segmentBoxes } from './labels.js';
import { createScale, isDrawable, type Scale, type ScaleType } from './scale.js';
import { seriesClass } from './style.js';
import { element, polyline, svgDocument, textElement, textWidth, tooltip } from './svg.js';

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

export interface ScatterGuide {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface ScatterChartOptions extends ChartOptions {
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly ScatterSeries[];
  /** Values that are not positive are left out of logarithmic axes. */
  readonly xScale?: ScaleType | undefined;
  readonly yScale?: ScaleType | undefined;
  /** Lines behind the points, each with its name above its end: limits, models. */
  readonly guides?: readonly ScatterGuide[] | undefined;
  /** Joins the points that no other point beats in both directions (Pareto frontier). */
  readonly frontier?: { readonly x: 'lowest' | 'highest'; readonly y: 'lowest' | 'highest' } | undefined;
}

interface Placed extends ScatterPoint {
  readonly series: number;
  readonly px: number;
  readonly py: number;
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
  const guides = (options.guides ?? []).map(({ name, points: all }) => ({
    name,
    points: all.filter(([gx, gy]) => isDrawable(gx, xType) && isDrawable(gy, yType)),
  }));
  const guidePoints = guides.flatMap((guide) => guide.points);
  const top = header(
    options,
    series.length > 1 ? series.map(({ name }, i) => ({ name, className: seriesClass(i) })) : [],
    width,
  );
  const vertical = { top: top.bottom + 30, bottom: height - 54 };
  const y = createScale([...points.map((point) => point.y), ...guidePoints.map(([, value]) => value)], {
    type: yType,
    range: [vertical.bottom, vertical.top],
    ticks: 5,
    round: true,
  });
  const plot: Plot = { ...vertical, left: MARGIN + labelRoom(y), right: width - MARGIN };
  const x = createScale([...points.map((point) => point.x), ...guidePoints.map(([value]) => value)], {
    type: xType,
    range: [plot.left, plot.right],
    ticks: Math.max(2, Math.floor((plot.right - plot.left) / 100)),
    round: true,
  });
  const placed = points.map(
    (point): Placed => ({ ...point, px: x.position(point.x), py: y.position(point.y) }),
  );
  const staircase = frontierPath(placed, options);
  return svgDocument({ width, height, title, description: `Points of ${yLabel} over ${xLabel}` }, [
    ...top.markup,
    ...verticalAxis(plot, y, yLabel),
    ...horizontalAxis(plot, x, xLabel, true),
    ...guides.flatMap((guide) => drawGuide(guide, x, y)),
    ...(staircase.length > 0 ? [element('path', { class: 'frontier', d: polyline(staircase) })] : []),
    ...placed.map((point) => drawPoint(point, series[point.series].name, options)),
    ...drawLabels(placed, staircase, plot),
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

function drawGuide({ name, points }: ScatterGuide, x: Scale, y: Scale): string[] {
  if (points.length === 0) return [];
  const line = points.map(([px, py]): readonly [number, number] => [x.position(px), y.position(py)]);
  const [endX, endY] = line[line.length - 1];
  return [
    element('path', { class: 'axis', fill: 'none', d: polyline(line) }),
    textElement(truncate(name, LABEL_CELLS), { class: 'muted', x: endX, y: endY - 5, 'text-anchor': 'end' }),
  ];
}

/** A staircase: between two points of the frontier nothing better is known than the worse one. */
function frontierPath(
  points: readonly Placed[],
  { frontier }: ScatterChartOptions,
): (readonly [x: number, y: number])[] {
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
  return best.flatMap((point, i) => {
    const end = [point.px, point.py] as const;
    return i === 0 ? [end] : [corner(best[i - 1], point), end];
  });
}

function drawLabels(
  points: readonly Placed[],
  staircase: readonly (readonly [x: number, y: number])[],
  plot: Plot,
): string[] {
  const labelled = points.flatMap(({ label, px, py, series }) =>
    label ? [{ text: truncate(label, LABEL_CELLS), x: px, y: py, series }] : [],
  );
  const obstacles = [...points.map(({ px, py }) => around(px, py, RADIUS)), ...segmentBoxes(staircase)];
  const places = placeLabels(
    labelled.map(({ text, x, y }) => ({ x, y, width: textWidth(text) })),
    { radius: RADIUS, obstacles, plot },
  );
  return labelled.map(({ text, series }, i) => {
    const label = textElement(text, { class: 'label', x: places[i].x, y: places[i].y + LABEL_HEIGHT - 4 });
    return element('g', { class: seriesClass(series) }, label);
  });
}
