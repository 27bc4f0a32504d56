import { formatNumber, type NumberStyle } from '../format.js';
import { truncate } from '../text.js';
import { type ChartOptions, emptyNote, header, horizontalAxis, MARGIN, type Plot } from './frame.js';
import { createScale, isDrawable, type Scale } from './scale.js';
import { seriesClass } from './style.js';
import { element, pixels, svgDocument, textElement, textWidth, tooltip } from './svg.js';

export interface BarSeries {
  readonly name: string;
  /** One per category; null or NaN: no bar. */
  readonly values: readonly (number | null)[];
  /** Low and high end of what each value may be, drawn as a whisker. */
  readonly intervals?: readonly (readonly [low: number, high: number] | null)[] | undefined;
}

export interface BarChartOptions extends ChartOptions {
  /** What the bars measure. */
  readonly xLabel: string;
  readonly categories: readonly string[];
  readonly series: readonly BarSeries[];
  /** How the number at the end of a bar is written. */
  readonly numbers?: NumberStyle | ((value: number) => string) | undefined;
}

const BAR = 18;
const BAR_GAP = 2;
const GROUP_GAP = 14;
const LABEL_CELLS = 32;

/** Horizontal bars from zero, with their numbers. Several series stand together by category. Returns an SVG document. */
export function barChart(options: BarChartOptions): string {
  const { title, xLabel, categories, series, width = 720 } = options;
  const names = categories.map((name) => truncate(name, LABEL_CELLS));
  const top = header(
    options,
    series.length > 1 ? series.map(({ name }, i) => ({ name, className: seriesClass(i) })) : [],
    width,
  );
  const group = Math.max(1, series.length) * (BAR + BAR_GAP) - BAR_GAP + GROUP_GAP;
  const plotTop = top.bottom + 6;
  const plotBottom = plotTop + Math.max(1, names.length) * group;
  const height = options.height ?? plotBottom + 50;
  const drawable = series.flatMap(({ values, intervals = [] }) => [
    ...values,
    ...intervals.flatMap((interval) => interval ?? []),
  ]);
  const numbers = drawable.filter((value) => value !== null && isDrawable(value)) as number[];
  const write = writer(options.numbers);
  const widest = Math.max(0, ...numbers.map((value) => textWidth(write(value)))) + 8;
  const plot: Plot = {
    left: MARGIN + Math.max(0, ...names.map((name) => textWidth(name))) + 12,
    right: width - MARGIN - widest,
    top: plotTop,
    bottom: plotBottom,
  };
  const x = createScale([0, ...numbers], {
    range: [plot.left, plot.right],
    ticks: Math.max(2, Math.floor((plot.right - plot.left) / 90)),
    round: true,
  });
  const rows = names.map((name, c) => {
    const y = plotTop + c * group + GROUP_GAP / 2;
    const middle = y + (group - GROUP_GAP) / 2 + 4;
    const label = textElement(name, { class: 'text', x: plot.left - 10, y: middle, 'text-anchor': 'end' });
    const bars = series.map((entry, s) =>
      drawBar({ entry, series: s, category: c, name, y: y + s * (BAR + BAR_GAP) }, x, write),
    );
    return label + bars.join('');
  });
  const zero = element('path', { class: 'axis', d: `M${pixels(x.position(0))} ${plotTop}V${plotBottom}` });
  return svgDocument({ width, height, title, description: `Bars of ${xLabel} for ${names.join(', ')}` }, [
    ...top.markup,
    ...horizontalAxis(plot, x, xLabel, true),
    ...rows,
    zero,
    ...(numbers.length === 0 ? [emptyNote(plot)] : []),
  ]);
}

interface Place {
  readonly entry: BarSeries;
  readonly series: number;
  readonly category: number;
  readonly name: string;
  readonly y: number;
}

function drawBar(
  { entry, series, category, name, y }: Place,
  x: Scale,
  write: (value: number) => string,
): string {
  const value = entry.values[category];
  if (value === null || value === undefined || !isDrawable(value)) return '';
  const [zero, end] = [x.position(0), x.position(value)];
  const interval = entry.intervals?.[category];
  const ends = interval?.every((limit) => isDrawable(limit))
    ? interval.map((limit) => x.position(limit))
    : [];
  const numberX = value < 0 ? Math.min(end, ...ends) - 6 : Math.max(end, ...ends) + 6;
  const anchor = value < 0 ? 'end' : 'start';
  return element(
    'g',
    { class: seriesClass(series) },
    tooltip(`${name}, ${entry.name}: ${write(value)}`),
    element('path', { class: 'bar', d: barPath(zero, end, y) }),
    ends.length === 2
      ? element('path', { class: 'whisker', d: whiskerPath(ends[0], ends[1], y + BAR / 2) })
      : '',
    textElement(write(value), {
      class: 'label value',
      x: numberX,
      y: y + BAR / 2 + 4,
      'text-anchor': anchor,
    }),
  );
}

/** Square at zero, rounded at the value. */
function barPath(zero: number, end: number, y: number): string {
  const radius = Math.min(4, Math.abs(end - zero));
  const inner = end - Math.sign(end - zero) * radius;
  const [x0, x1, x2] = [pixels(zero), pixels(inner), pixels(end)];
  return `M${x0} ${pixels(y)}H${x1}Q${x2} ${pixels(y)} ${x2} ${pixels(y + radius)}V${pixels(y + BAR - radius)}Q${x2} ${pixels(y + BAR)} ${x1} ${pixels(y + BAR)}H${x0}Z`;
}

function whiskerPath(low: number, high: number, y: number): string {
  return `M${pixels(low)} ${pixels(y)}H${pixels(high)}M${pixels(low)} ${pixels(y - 4)}v8M${pixels(high)} ${pixels(y - 4)}v8`;
}

function writer(numbers: BarChartOptions['numbers']): (value: number) => string {
  return typeof numbers === 'function' ? numbers : (value) => formatNumber(value, numbers);
}
