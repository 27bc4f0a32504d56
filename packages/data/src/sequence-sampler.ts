import { createHash } from 'node:crypto';
import { DataError } from './errors.js';

export interface SamplerOptions {
  /** Tokens per sequence. */
  readonly length: number;
  /** Sequences per batch. */
  readonly batch: number;
  readonly seed: number;
  /** Cut every epoch elsewhere. Default true; without, all epochs have the same sequences, in another order. */
  readonly shift?: boolean;
}

/** Sequences and the token to predict after each of their tokens, flat. */
export interface SampledBatch {
  readonly sequences: readonly Int32Array[];
  readonly targets: Int32Array;
}

/** Position in the stream of a {@link SequenceSampler}, and the settings that it belongs to. */
export interface SamplerState extends SamplerOptions {
  readonly step: number;
  /** Tokens in the stream. */
  readonly tokens: number;
}

/**
 * Endless batches of equally long sequences cut from a stream of tokens. An epoch visits every piece once in an
 * order that depends on the seed and the epoch alone; each epoch shifts the cuts, so that pieces differ, unless `shift` is off. Any step
 * can be computed without those before it, so resuming is exact.
 */
export class SequenceSampler {
  private step = 0;
  private order: { readonly epoch: number; readonly pieces: Uint32Array } | null = null;

  constructor(
    private readonly tokens: Int32Array,
    private readonly options: SamplerOptions,
  ) {
    const { length, batch } = options;
    requirePositive('length', length);
    requirePositive('batch', batch);
    if (tokens.length <= 2 * length) {
      throw new DataError({
        file: 'SequenceSampler',
        what: 'too little text',
        got: `${tokens.length} tokens`,
        expected: `more than ${2 * length} for sequences of ${length}`,
        hint: 'Use shorter sequences or more text.',
      });
    }
  }

  /** Pieces in one epoch: one fewer than fit, because cuts are shifted. */
  get pieces(): number {
    return Math.floor((this.tokens.length - 1) / this.options.length) - 1;
  }

  /** The next batch; the target of each token is the one after it in the stream. */
  next(): SampledBatch {
    const { length, batch } = this.options;
    const targets = new Int32Array(batch * length);
    const sequences = Array.from({ length: batch }, (_, i) => {
      const start = this.startOf(this.step * batch + i);
      targets.set(this.tokens.subarray(start + 1, start + 1 + length), i * length);
      return this.tokens.subarray(start, start + length);
    });
    this.step++;
    return { sequences, targets };
  }

  private startOf(draw: number): number {
    const { length, seed } = this.options;
    const epoch = Math.floor(draw / this.pieces);
    const { pieces } = this.orderOf(epoch);
    const offset = this.options.shift === false ? 0 : hashOf(`${seed}:${epoch}:shift`) % length;
    return pieces[draw % this.pieces] * length + offset;
  }

  state(): SamplerState {
    const { length, batch, seed, shift = true } = this.options;
    return { step: this.step, length, batch, seed, tokens: this.tokens.length, ...(!shift && { shift }) };
  }

  /** @throws DataError for a state of other settings or another text: the stream would not be the same */
  restore(state: unknown): void {
    const { step, ...settings } = (state ?? {}) as Partial<SamplerState>;
    const { step: _, ...own } = this.state();
    const settled = { ...settings, shift: settings.shift ?? true };
    const same = Object.entries({ ...own, shift: own.shift ?? true }).every(
      ([name, value]) => settled[name as keyof typeof settled] === value,
    );
    if (same && Number.isInteger(step) && (step as number) >= 0) {
      this.step = step as number;
      return;
    }
    throw new DataError({
      file: 'SequenceSampler',
      what: 'not a state of this sampler',
      got: JSON.stringify(state),
      expected: `a step of ${JSON.stringify(own)}`,
      hint: 'Continue with the settings and the text that the run began with.',
    });
  }

  private orderOf(epoch: number): { readonly pieces: Uint32Array } {
    if (this.order?.epoch === epoch) return this.order;
    const pieces = shuffled(this.pieces, `${this.options.seed}:${epoch}:order`);
    this.order = { epoch, pieces };
    return this.order;
  }
}

function requirePositive(name: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return;
  throw new DataError({
    file: 'SequenceSampler',
    what: name,
    got: String(value),
    expected: 'a positive integer',
  });
}

/** The numbers below `length` in an order that depends on `key` alone: quick, and the same everywhere. */
export function shuffled(length: number, key: string): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  // Fisher–Yates with a SplitMix32 stream.
  let state = hashOf(key);
  for (let i = length - 1; i > 0; i--) {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    const j = ((mixed ^ (mixed >>> 15)) >>> 0) % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function hashOf(key: string): number {
  return createHash('sha256').update(key).digest().readUInt32LE(0);
}
