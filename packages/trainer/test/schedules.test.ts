import { describe, expect, it } from 'vitest';
import { constant, cosine, linear, type Schedule, warmupStableDecay } from '../src/index.js';
import { readFixture } from './fixtures.js';

interface Recorded {
  readonly schedules: readonly {
    readonly name: string;
    readonly options: Readonly<Record<string, number>>;
    readonly factors: readonly number[];
  }[];
}

const steps = 100;
const ours: Record<string, Schedule> = {
  linear: linear({ peak: 1, steps, warmup: 10 }),
  'linear-no-warmup': linear({ peak: 1, steps }),
  cosine: cosine({ peak: 1, steps, warmup: 10 }),
  'cosine-floor': cosine({ peak: 1, steps, warmup: 10, final: 0.1 }),
  constant: constant({ peak: 1, warmup: 10 }),
  'wsd-linear': warmupStableDecay({ peak: 1, steps, warmup: 10, decay: 20 }),
  'wsd-cosine-floor': warmupStableDecay({
    peak: 1,
    steps,
    warmup: 10,
    decay: 30,
    final: 0.1,
    shape: 'cosine',
  }),
};

describe('schedules', () => {
  const { schedules } = readFixture<Recorded>('schedules.json');

  it.each(schedules)('$name is what transformers computes', ({ name, factors }) => {
    const mine = ours[name];
    expect(factors).toHaveLength(steps);
    // transformers lets this one's warm-up start at the floor; ours start at 0.
    const first = name === 'wsd-cosine-floor' ? 10 : 0;
    for (let step = first; step < steps; step++) expect(mine(step)).toBeCloseTo(factors[step], 12);
  });

  it('stays at the final rate behind the end and multiplies by the peak', () => {
    expect(linear({ peak: 0.02, steps: 10, final: 0.001 })(10)).toBeCloseTo(0.001, 15);
    expect(cosine({ peak: 0.02, steps: 10, final: 0.001 })(500)).toBeCloseTo(0.001, 15);
    expect(constant({ peak: 0.02 })(0)).toBe(0.02);
  });
});
