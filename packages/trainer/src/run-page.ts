import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  formatDuration,
  formatNumber,
  htmlPage,
  type LineSeries,
  lineChart,
  type Section,
} from '@frugal/report';

/** A line of the log; see RunLog. */
interface LogLine {
  readonly step: number;
  readonly loss?: number;
  readonly learningRate?: number;
  readonly gradientNorm?: number;
  readonly tokens?: number;
  readonly tokensPerSecond?: number;
  readonly seconds?: number;
  readonly metrics?: Readonly<Record<string, number>>;
}

type Point = readonly [x: number, y: number];

/** The share of the past in the smoothed loss: about the last thirty steps, as in the progress bar. */
const SMOOTHING = 1 - 1 / 30;

/** Reads a log and draws it into an HTML file, which appears whole. */
export function writeRunPage(log: string, page: string): void {
  mkdirSync(dirname(page), { recursive: true });
  writeFileSync(`${page}.part`, runPage(readFileSync(log, 'utf8')));
  renameSync(`${page}.part`, page);
}

/** The log of a run (JSON lines) as one self-contained HTML page of charts. A torn last line is left out. */
export function runPage(log: string, title = 'Training'): string {
  const lines = log.split('\n').flatMap(parseLine);
  const steps = lines.filter(({ metrics }) => metrics === undefined);
  const charts = [
    chart('Loss', [
      { name: 'step', points: pointsOf(steps, 'loss') },
      { name: 'smoothed', points: smoothed(pointsOf(steps, 'loss')) },
    ]),
    ...metricNames(lines).map((name) =>
      chart(name, [
        {
          name,
          points: lines.flatMap(({ step, metrics }) =>
            metrics?.[name] === undefined ? [] : [[step, metrics[name]] as const],
          ),
        },
      ]),
    ),
    chart('Learning rate', [{ name: 'learning rate', points: pointsOf(steps, 'learningRate') }]),
    chart('Gradient norm', [{ name: 'before clipping', points: pointsOf(steps, 'gradientNorm') }]),
    chart('Tokens per second', [{ name: 'tokens/s', points: pointsOf(steps, 'tokensPerSecond') }]),
  ];
  const sections: Section[] = [{ charts }];
  return htmlPage({ title, subtitle: summary(steps), sections });
}

function summary(steps: readonly LogLine[]): string {
  const last = steps.at(-1);
  if (!last) return 'No step has been made yet.';
  const { step, tokens = 0, seconds = 0 } = last;
  const loss = smoothed(pointsOf(steps, 'loss')).at(-1)?.[1];
  const facts = `Step ${step}, ${formatNumber(tokens)} tokens in ${formatDuration(seconds)}`;
  return loss === undefined ? `${facts}.` : `${facts}, loss ${loss.toFixed(4)}.`;
}

function chart(title: string, series: readonly LineSeries[]): string {
  return lineChart({ title, xLabel: 'step', yLabel: title.toLowerCase(), height: 300, series });
}

function pointsOf(
  lines: readonly LogLine[],
  field: 'loss' | 'learningRate' | 'gradientNorm' | 'tokensPerSecond',
): Point[] {
  return lines.flatMap((line) =>
    typeof line[field] === 'number' ? [[line.step, line[field]] as const] : [],
  );
}

/** A running mean that is not drawn towards 0 at its start. */
function smoothed(points: readonly Point[]): Point[] {
  let [sum, weight] = [0, 0];
  return points.map(([step, loss]) => {
    sum = SMOOTHING * sum + (1 - SMOOTHING) * loss;
    weight = SMOOTHING * weight + (1 - SMOOTHING);
    return [step, sum / weight];
  });
}

function metricNames(lines: readonly LogLine[]): string[] {
  return [...new Set(lines.flatMap(({ metrics }) => Object.keys(metrics ?? {})))];
}

function parseLine(line: string): LogLine[] {
  try {
    const value = JSON.parse(line) as LogLine;
    return typeof value?.step === 'number' ? [value] : [];
  } catch {
    return [];
  }
}
