import { setImmediate as nextTurn } from 'node:timers/promises';
import { FrugalError, keep, noGrad, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import type { Encoding, EncodingRequest, EngineStats, ModelCard } from './contract.js';
import { encoderInputs } from './encoder-inputs.js';
import { EncoderQueue, type PickedText, type QueuedTexts } from './encoder-queue.js';
import { EngineError } from './errors.js';
import type { EngineLimits } from './limits.js';
import { encoderCard, type LoadedEncoder } from './loaded-encoder.js';

type Outcome = { readonly rows: readonly Float32Array[] } | { readonly error: unknown };

/** A request from the moment it is accepted until all of its texts are read, or it fails. */
class RunningEncoding implements QueuedTexts {
  private readonly rows: Float32Array[];
  private missing: number;
  private ended = false;

  constructor(
    readonly texts: readonly ArrayLike<number>[],
    readonly priority: number,
    readonly activation: boolean,
    private readonly settle: (outcome: Outcome) => void,
  ) {
    this.rows = new Array(texts.length);
    this.missing = texts.length;
  }

  take(index: number, row: Float32Array): void {
    this.rows[index] = row;
    if (--this.missing === 0) this.end({ rows: this.rows });
  }

  fail(error: unknown): void {
    this.end({ error });
  }

  private end(outcome: Outcome): void {
    if (this.ended) return;
    this.ended = true;
    this.settle(outcome);
  }
}

/** One model that reads texts, and its loop: picks texts, computes them in one pass, hands out rows, and again. */
export class EncoderRunner {
  readonly card: ModelCard;
  private readonly queue = new EncoderQueue<RunningEncoding>();
  private readonly tokensPerStep: number;
  private readonly maxWaiting: number;
  private loop: Promise<void> | null = null;
  /** Requests in the step that is computed. */
  private reading = 0;
  private closed = false;
  private readonly totals = { finished: 0, steps: 0, promptTokens: 0 };

  constructor(
    private readonly loaded: LoadedEncoder,
    { tokensPerStep = 256, maxWaiting = 256 }: EngineLimits,
  ) {
    this.card = encoderCard(loaded);
    this.tokensPerStep = tokensPerStep;
    this.maxWaiting = maxWaiting;
  }

  get stats(): EngineStats {
    return {
      waiting: this.queue.length,
      running: this.reading,
      ...this.totals,
      ...{ completionTokens: 0, cachedTokens: 0, preemptions: 0, draftTokens: 0, draftTokensAccepted: 0 },
      ...{ cacheTokens: 0, cacheTokensHeld: 0, cacheTokensKept: 0 },
    };
  }

  /** @throws EngineError when the request is refused or fails */
  async encode(request: EncodingRequest): Promise<Encoding> {
    const { signal, activation = true, priority = 0, task } = request;
    const { name, task: own } = this.card;
    if (this.closed) throw closed();
    if (task !== own) {
      const does = own === 'embed' ? 'embeds texts' : 'tells classes of texts';
      throw new EngineError('wrong-task', { what: `the model ${name} ${does}`, got: `a request to ${task}` });
    }
    if (this.queue.length >= this.maxWaiting) {
      throw new EngineError('overloaded', {
        what: 'too many requests are waiting',
        got: `${this.queue.length} in the queue`,
        hint: 'Try again in a moment.',
      });
    }
    const texts = encoderInputs(this.loaded, this.card, request);
    signal?.throwIfAborted();
    const rows = await new Promise<readonly Float32Array[]>((resolve, reject) => {
      const running = new RunningEncoding(texts, priority, activation, (settle) => {
        signal?.removeEventListener('abort', leave);
        this.queue.remove(running);
        this.totals.finished++;
        if ('error' in settle) reject(settle.error);
        else resolve(settle.rows);
      });
      const leave = () => running.fail(signal?.reason);
      signal?.addEventListener('abort', leave, { once: true });
      this.queue.add(running);
      this.loop ??= this.run();
    });
    return { rows, promptTokens: texts.reduce((sum, { length }) => sum + length, 0) };
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const request of this.queue.removeAll()) request.fail(closed());
    await this.loop;
  }

  /** Ends when nothing runs or waits. */
  async idle(): Promise<void> {
    while (this.loop) await this.loop;
  }

  private async run(): Promise<void> {
    for (await nextTurn(); this.queue.length > 0; await nextTurn())
      await this.step(this.queue.take(this.tokensPerStep));
    this.loop = null;
  }

  /** A failed step costs the requests in it. */
  private async step(picked: readonly PickedText<RunningEncoding>[]): Promise<void> {
    this.totals.steps++;
    this.reading = new Set(picked.map(({ request }) => request)).size;
    try {
      const rows = await this.compute(picked.map(({ request, index }) => request.texts[index]));
      this.reading = 0;
      picked.forEach(({ request, index }, i) => {
        request.take(index, this.finished(rows[i], request.activation));
      });
    } catch (cause) {
      this.reading = 0;
      const { got, hint } = cause instanceof FrugalError ? cause : {};
      const error = new EngineError('failed', { what: 'a step of the model failed', got, hint, cause });
      for (const request of new Set(picked.map((each) => each.request))) request.fail(error);
    }
  }

  /** One row for each text: its vector, or its class scores as they come. */
  private async compute(texts: readonly ArrayLike<number>[]): Promise<readonly Float32Array[]> {
    const { encoder, pooling = 'mean' } = this.loaded;
    const { vocabularySize, classes } = encoder;
    this.totals.promptTokens += texts.reduce((sum, { length }) => sum + length, 0);
    const { backend } = encoder.parameters()[0].value;
    const output = scope(() =>
      noGrad(() => {
        const output = encoder.forward(stepBatch(texts, { vocabularySize, backend }));
        return keep(classes === null ? output.pool(pooling) : output.logits());
      }),
    );
    try {
      const values = await output.toFloat32();
      const width = values.length / texts.length;
      return texts.map((_, i) => values.slice(i * width, (i + 1) * width));
    } finally {
      output.dispose();
    }
  }

  private finished(row: Float32Array, activated: boolean): Float32Array {
    if (!row.every(Number.isFinite))
      throw new FrugalError({ where: 'engine', what: 'what the model computes is no number' });
    const { normalize = false, activation = 'softmax' } = this.loaded;
    if (this.card.task === 'embed') return normalize ? unit(row) : row;
    if (!activated || activation === 'none') return row;
    return activation === 'sigmoid' ? row.map((score) => 1 / (1 + Math.exp(-score))) : softmax(row);
  }
}

/** Divided by its length; no shorter than 1e-12, as sentence-transformers does. */
function unit(row: Float32Array): Float32Array {
  const length = Math.max(Math.hypot(...row), 1e-12);
  return row.map((value) => value / length);
}

function softmax(row: Float32Array): Float32Array {
  const most = Math.max(...row);
  const shares = Float64Array.from(row, (score) => Math.exp(score - most));
  const sum = shares.reduce((total, share) => total + share, 0);
  return Float32Array.from(shares, (share) => share / sum);
}

function closed(): EngineError {
  return new EngineError('closed', { what: 'the engine is closed' });
}
