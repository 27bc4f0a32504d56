import { LossCurve, sparkline } from './loss-curve.js';
import type { StepEvent, TrainEvent } from './options.js';

export interface ProgressBarOptions {
  /** Stands at the start of the line: what is being trained. */
  readonly label?: string;
  /** Default: standard error, so that output can be piped. */
  readonly stream?: ProgressStream;
}

/** What the bar needs of a stream; `process.stdout` and `process.stderr` have it. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const REDRAW_MS = 100;
const BAR_WIDTH = 24;
/** Of the loss curve; it is there when the line has room for half of it. */
const CURVE_WIDTH = 24;
const CLEAR_TO_END = '\u001b[K';

/**
 * Shows a run on one line, with its loss curve where there is room: redrawn in place on a terminal, elsewhere (files, CI) a new line after every tenth of the
 * run. Feed it every event of `train`, and close it at the end.
 */
export function progressBar({ label = '', stream = process.stderr }: ProgressBarOptions = {}): {
  update(event: TrainEvent): void;
  close(): void;
} {
  let drawn: StepEvent | null = null;
  let drawnAt = Number.NEGATIVE_INFINITY;
  let latest: StepEvent | null = null;
  const curve = new LossCurve(CURVE_WIDTH);
  const draw = (event: StepEvent) => {
    drawn = event;
    drawnAt = performance.now();
    if (stream.isTTY)
      stream.write(
        `\r${renderProgress(event, label, (stream.columns ?? 80) - 1, curve.means())}${CLEAR_TO_END}`,
      );
    else stream.write(`${renderProgress(event, label)}\n`);
  };
  const tenth = ({ step, steps }: StepEvent) => Math.floor((10 * step) / steps);
  const isDue = (event: StepEvent) =>
    stream.isTTY ? performance.now() - drawnAt >= REDRAW_MS : drawn === null || tenth(event) > tenth(drawn);
  return {
    update(event) {
      if (event.type !== 'step') return;
      latest = event;
      curve.add(event.loss);
      if (isDue(event)) draw(event);
    },
    close() {
      if (latest && latest !== drawn) draw(latest);
      if (latest && stream.isTTY) stream.write('\n');
    },
  };
}

/**
 * `teacher ━━━━━━━━────  412/1024  loss 3.214  18.2k tok/s  1:03 left  █▇▅▄▃▂▂▁▁`, cut to `width` columns; `losses` are
 * those of the run so far, in few numbers.
 */
export function renderProgress(
  event: StepEvent,
  label = '',
  width = 120,
  losses: readonly number[] = [],
): string {
  const { step, steps, smoothedLoss, tokensPerSecond, secondsLeft, seconds } = event;
  const facts = [
    `${String(step).padStart(String(steps).length)}/${steps}`,
    `loss ${smoothedLoss.toFixed(3)}`,
    `${shortNumber(tokensPerSecond)} tok/s`,
    step < steps ? `${clock(secondsLeft)} left` : `${clock(seconds)} in all`,
  ].join('  ');
  const room = width - facts.length - (label ? label.length + 1 : 0) - 2;
  const cells = Math.max(0, Math.min(BAR_WIDTH, room));
  const filled = Math.round((cells * step) / steps);
  const bar = `${'━'.repeat(filled)}${'─'.repeat(cells - filled)}`;
  const curve = sparkline(losses, room - cells - 2 >= CURVE_WIDTH / 2 ? room - cells - 2 : 0);
  const parts = [
    ...(label ? [`${label} `] : []),
    bar,
    bar ? '  ' : '',
    facts,
    ...(curve ? ['  ', curve] : []),
  ];
  return parts.join('').slice(0, Math.max(0, width));
}

/** 950, 18.2k, 1.25M. */
function shortNumber(value: number): string {
  if (value < 1000) return value.toFixed(0);
  if (value < 999_950) return `${(value / 1000).toFixed(1)}k`;
  return `${(value / 1e6).toFixed(2)}M`;
}

/** 0:07, 12:30, 1:02:03. */
function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
