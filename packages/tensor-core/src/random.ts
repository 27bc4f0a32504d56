import type { Backend } from './backend.js';
import { dispatchOn } from './dispatch.js';
import type { FloatDType } from './dtype.js';
import { ArgumentError } from './errors.js';
import { rehearsedCounter } from './rehearsal.js';
import { type Shape, sizeOf } from './shape.js';
import type { Tensor } from './tensor.js';

export interface RandomState {
  readonly seed: number;
  readonly counter: number;
}

export interface RandomOptions {
  readonly dtype?: FloatDType;
  readonly backend?: Backend;
}

/**
 * A stream of random tensors from a counter-based generator (Philox4x32-10, Salmon et al. 2011): the same seed
 * gives the same values on every backend and thread count. `state()` and `new Random(state)` resume exactly.
 */
export class Random {
  private seed = 0;
  private counter = 0;

  constructor(seed: number | RandomState) {
    this.restore(typeof seed === 'number' ? { seed, counter: 0 } : seed);
  }

  state(): RandomState {
    return { seed: this.seed, counter: this.counter };
  }

  /** Goes on where the stream with this state stood. */
  restore(state: RandomState): void {
    for (const [name, value] of Object.entries(state)) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new ArgumentError({
          where: 'Random',
          what: `${name} out of range`,
          got: String(value),
          expected: 'an integer from 0 to 2^53 - 1',
        });
      }
    }
    this.seed = state.seed;
    this.counter = state.counter;
  }

  /** Uniform in [0, 1): 24 random bits per element. */
  uniform(shape: Shape, options: RandomOptions = {}): Tensor {
    return this.draw('randomUniform', shape, options);
  }

  /** Standard normal (Box–Muller on pairs of uniforms). */
  normal(shape: Shape, options: RandomOptions = {}): Tensor {
    return this.draw('randomNormal', shape, options);
  }

  /** An independent stream, named by a number: one per layer, worker or purpose. */
  fork(stream: number): Random {
    // SplitMix-style mixing of seed and stream; 53 bits stay.
    let mixed = (BigInt(this.seed) ^ (BigInt(stream + 1) * 0x9e3779b97f4a7c15n)) & 0xffffffffffffffffn;
    mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n) & 0xffffffffffffffffn;
    mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & 0xffffffffffffffffn;
    return new Random(Number((mixed ^ (mixed >> 31n)) >> 11n));
  }

  private draw(op: 'randomUniform' | 'randomNormal', shape: Shape, options: RandomOptions): Tensor {
    const counter = rehearsedCounter(() => {
      const first = this.counter;
      this.counter += Math.ceil(sizeOf(shape) / 4);
      return first;
    });
    const seed: [number, number] = [this.seed >>> 0, Math.floor(this.seed / 2 ** 32)];
    const attributes = { shape: [...shape], dtype: options.dtype ?? 'f32', seed, counter } as const;
    return dispatchOn(options.backend, op, attributes);
  }
}
