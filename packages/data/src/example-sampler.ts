import { createHash } from 'node:crypto';
import type { TokenExample } from './chat/encode-chat.js';
import { DataError } from './errors.js';
import { type SampledBatch, shuffled } from './sequence-sampler.js';

export interface ExampleSamplerOptions {
  /** Examples per batch. */
  readonly batch: number;
  readonly seed: number;
}

/** Position in the stream of an {@link ExampleSampler}, and what it belongs to. */
export interface ExampleSamplerState extends ExampleSamplerOptions {
  readonly step: number;
  /** Hash of the examples. */
  readonly examples: string;
}

/**
 * Endless batches of whole examples of any length, without padding. An epoch visits every example once, in an order that
 * depends on the seed and the epoch alone; any step can be computed without those before it, so resuming is exact.
 */
export class ExampleSampler {
  private step = 0;
  private order: { readonly epoch: number; readonly indices: Uint32Array } | null = null;
  private readonly fingerprint: string;

  /** @throws DataError when there are no examples */
  constructor(
    private readonly examples: readonly TokenExample[],
    private readonly options: ExampleSamplerOptions,
  ) {
    if (examples.length === 0)
      throw new DataError({
        file: 'ExampleSampler',
        what: 'there are no examples',
        expected: 'at least one',
      });
    const hash = createHash('sha256');
    for (const { tokens, targets } of examples) hash.update(tokens).update(targets);
    this.fingerprint = hash.digest('hex');
  }

  next(): SampledBatch {
    const { batch } = this.options;
    const chosen = Array.from({ length: batch }, (_, i) => this.exampleAt(this.step * batch + i));
    this.step++;
    const targets = new Int32Array(chosen.reduce((sum, { tokens }) => sum + tokens.length, 0));
    let row = 0;
    for (const example of chosen) {
      targets.set(example.targets, row);
      row += example.targets.length;
    }
    return { sequences: chosen.map(({ tokens }) => tokens), targets };
  }

  private exampleAt(draw: number): TokenExample {
    const { length } = this.examples;
    const epoch = Math.floor(draw / length);
    if (this.order?.epoch !== epoch)
      this.order = { epoch, indices: shuffled(length, `${this.options.seed}:${epoch}:examples`) };
    return this.examples[this.order.indices[draw % length]];
  }

  state(): ExampleSamplerState {
    return { step: this.step, ...this.options, examples: this.fingerprint };
  }

  /** @throws DataError for a state of other settings or other examples: the stream would not be the same */
  restore(state: unknown): void {
    const { step, ...settings } = (state ?? {}) as Partial<ExampleSamplerState>;
    const { step: _, ...own } = this.state();
    const same = Object.entries(own).every(([name, value]) => settings[name as keyof typeof own] === value);
    if (same && Number.isInteger(step) && (step as number) >= 0) {
      this.step = step as number;
      return;
    }
    throw new DataError({
      file: 'ExampleSampler',
      what: 'not a state of this sampler',
      got: JSON.stringify(state),
      expected: `a step of ${JSON.stringify(own)}`,
      hint: 'Continue with the settings and the examples that the run began with.',
    });
  }
}
