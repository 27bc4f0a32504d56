/** Steps over which speed is measured. */
const WINDOW = 50;
const SMOOTHING = 1 - 1 / 30;

interface Mark {
  readonly step: number;
  readonly tokens: number;
  readonly seconds: number;
}

export interface Reading {
  readonly smoothedLoss: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly seconds: number;
  readonly secondsLeft: number;
}

/** Turns finished steps into what people want to know: smoothed loss, speed, time left. */
export class Meter {
  private readonly started = performance.now();
  private readonly marks: Mark[];
  private readonly secondsBefore: number;
  private loss = 0;
  private weight = 0;

  /** Starts with what earlier parts of the run have done. */
  constructor({ step, tokens, seconds }: Mark) {
    this.marks = [{ step, tokens, seconds }];
    this.secondsBefore = seconds;
  }

  observe(step: number, steps: number, loss: number, tokens: number): Reading {
    const [first] = this.marks;
    const last = this.marks[this.marks.length - 1];
    const now = { step, tokens: last.tokens + tokens, seconds: this.seconds() };
    this.marks.push(now);
    if (this.marks.length > WINDOW) this.marks.shift();
    if (Number.isFinite(loss)) {
      this.loss = SMOOTHING * this.loss + (1 - SMOOTHING) * loss;
      this.weight = SMOOTHING * this.weight + (1 - SMOOTHING);
    }
    const elapsed = Math.max(now.seconds - first.seconds, 1e-9);
    return {
      smoothedLoss: this.loss / this.weight,
      tokens: now.tokens,
      tokensPerSecond: (now.tokens - first.tokens) / elapsed,
      seconds: now.seconds,
      secondsLeft: ((steps - step) * elapsed) / (now.step - first.step),
    };
  }

  /** Seconds of the whole run. */
  seconds(): number {
    return this.secondsBefore + (performance.now() - this.started) / 1000;
  }
}
