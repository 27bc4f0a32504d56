import { describe, expect, it } from 'vitest';
import { tensor } from '../index.js';
import { chooseRows } from './choose-rows.js';
import type { TokenConstraint } from './constraint.js';
import { Sampler, type SamplerOptions } from './sampler.js';

const V = 12;
const logits = Float32Array.from({ length: V }, (_, i) => 2 * Math.sin(5 * i));

/** Allows a set of tokens, ascending, names them if they are to be few, and counts how often all others are struck out. */
function only(
  allowed: readonly number[],
  knows: 'cheap' | 'full' | null = null,
): TokenConstraint & { restricted: number } {
  return {
    isComplete: false,
    restricted: 0,
    few: (effort) => (knows === 'cheap' || knows === effort ? allowed : null),
    restrict(row) {
      this.restricted++;
      row.forEach((_, id) => {
        if (!allowed.includes(id)) row[id] = Number.NEGATIVE_INFINITY;
      });
    },
    allows: (id) => allowed.includes(id),
    accept: () => {},
  };
}

const rowsOf = (count: number) =>
  tensor(
    Float32Array.from({ length: count * V }, (_, i) => logits[i % V]),
    { shape: [count, V] },
  );

const choiceOf = (sampler: Sampler) => ({
  draw: sampler.draw(),
  edit: sampler.edit,
  constraint: sampler.constraint,
});

/** One token of each of many texts that differ in nothing but their seed, all in one batch. */
function drawMany(options: SamplerOptions, count: number) {
  const choices = Array.from({ length: count }, (_, seed) => choiceOf(new Sampler({ ...options, seed }, [])));
  return chooseRows(rowsOf(count), choices);
}

describe('a constraint', () => {
  const sets = { few: [1, 4], most: [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11], all: [...Array(V).keys()] };

  const kinds = [
    ...Object.entries(sets).map(([name, set]) => [name, set, null] as const),
    ['few, named', sets.few, 'cheap'] as const,
    ['few, named at last', sets.few, 'full'] as const,
  ];

  it.each(kinds)('leaves the distribution of what it allows: %s', async (_, allowed, knows) => {
    const count = 20_000;
    const ids = await drawMany({ temperature: 1, constraint: only(allowed, knows) }, count);
    const weights = allowed.map((id) => Math.exp(logits[id]));
    const total = weights.reduce((a, b) => a + b);
    // Pearson's chi-squared; its mean is the degrees of freedom d, its variance 2 d.
    const degrees = allowed.length - 1;
    const statistic = allowed.reduce((sum, id, i) => {
      const wanted = (count * weights[i]) / total;
      return sum + (ids.filter((each) => each === id).length - wanted) ** 2 / wanted;
    }, 0);
    expect(statistic).toBeLessThan(degrees + 4 * Math.sqrt(2 * degrees));
    expect(ids.every((id) => allowed.includes(id as number))).toBe(true);
  });

  it('strikes out nothing while what is drawn is allowed', async () => {
    const constraint = only(sets.all);
    await drawMany({ temperature: 1, constraint }, 50);
    await drawMany({ temperature: 0, constraint }, 50);
    expect(constraint.restricted).toBe(0);
    await drawMany({ temperature: 1, topP: 0.9, constraint }, 1); // what top p keeps depends on what is forbidden
    expect(constraint.restricted).toBe(1);
  });

  it.each<SamplerOptions>([
    { temperature: 0 },
    { temperature: 1 },
    { temperature: 2, topP: 0.8 },
    { temperature: 1, logprobs: 2 },
    { temperature: 1, presencePenalty: 1, logitBias: { 4: 3 } },
  ])('gives the same token in a batch, alone, from logits, and with logprobs: %o', async (options) => {
    for (const [, allowed, knows] of kinds) {
      const constraint = only(allowed, knows);
      const together = await drawMany({ ...options, constraint }, 40);
      for (const [seed, id] of together.entries()) {
        const sampler = new Sampler({ ...options, seed, constraint }, []);
        expect(await chooseRows(rowsOf(1), [choiceOf(sampler)])).toEqual([id]);
        expect(sampler.accept(logits.slice()).id).toBe(id);
        const reporting = new Sampler({ ...options, seed, constraint, logprobs: 0 }, []);
        expect(reporting.accept(logits.slice()).id).toBe(id);
      }
    }
  });

  it('that names few tokens gives what striking out the others gives, whatever is cut off', async () => {
    for (const options of [{ temperature: 0 }, { temperature: 1, topP: 0.6 }, { temperature: 2, topK: 2 }]) {
      const all = { ...options, constraint: only([1, 4, 9, 10]) };
      const named = { ...options, constraint: only([1, 4, 9, 10], 'cheap') };
      expect(await drawMany(named, 200)).toEqual(await drawMany(all, 200));
      expect(named.constraint.restricted).toBe(0);
    }
  });

  it('that fails costs its own row alone, which comes back as it was', async () => {
    const fails = () => {
      throw new Error('too ambiguous');
    };
    const draw = { index: 0, options: { temperature: 1 } };
    const rows = await chooseRows(rowsOf(3), [
      { draw },
      { draw, constraint: { few: fails, allows: fails, restrict: fails } },
      { draw, edit: 'leave' },
    ]);
    expect(rows.map((row) => typeof row)).toEqual(['number', 'object', 'object']);
    expect(rows[1]).toEqual(logits);
    expect(rows[2]).toEqual(logits);
  });
});
