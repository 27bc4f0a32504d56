import { closeSync, existsSync, mkdirSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { EvaluationEvent, StepEvent } from './options.js';
import { writeRunPage } from './run-page.js';

/**
 * One JSON object per line, in the file before `write` returns: a process that is killed loses none. Evaluations are
 * lines with `step` and `metrics`.
 */
export class RunLog {
  private readonly file: number;

  /**
   * Opens for appending; lines of steps after `lastStep`, and a torn last line, are cut off first. `page` is an HTML file
   * for its charts.
   */
  constructor(
    private readonly path: string,
    lastStep: number,
    private readonly page?: string,
  ) {
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) truncateSync(path, keptBytes(readFileSync(path), lastStep));
    this.file = openSync(path, 'a');
  }

  write(event: StepEvent | EvaluationEvent): void {
    writeSync(
      this.file,
      `${JSON.stringify(event.type === 'step' ? stepLine(event) : { step: event.step, metrics: event.metrics })}\n`,
    );
  }

  /** Draws the page, if there is one. */
  draw(): void {
    if (this.page !== undefined) writeRunPage(this.path, this.page);
  }

  close(): void {
    closeSync(this.file);
    this.draw();
  }
}

function stepLine({
  step,
  loss,
  learningRate,
  gradientNorm,
  tokens,
  tokensPerSecond,
  seconds,
  skipped,
  division,
}: StepEvent) {
  const line = { step, loss, learningRate, gradientNorm, tokens, tokensPerSecond, seconds, ...division };
  return skipped ? { ...line, skipped } : line;
}

/** Length of the leading lines that are whole and not after `lastStep`. */
function keptBytes(content: Buffer, lastStep: number): number {
  let start = 0;
  for (let end = content.indexOf('\n'); end >= 0; end = content.indexOf('\n', start)) {
    if (!(stepOf(content.toString('utf8', start, end)) <= lastStep)) break;
    start = end + 1;
  }
  return start;
}

function stepOf(line: string): number {
  try {
    return (JSON.parse(line) as { step: number }).step;
  } catch {
    return Number.NaN;
  }
}
