import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { philox4x32 } from './philox.js';
import { Random } from './random.js';

interface Fixture {
  readonly knownAnswers: readonly { counter: number[]; key: number[]; words: number[] }[];
  readonly streams: readonly { seed: number; counter: number; words: number[]; uniform: number[] }[];
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../oracles/fixtures/philox.json', import.meta.url), 'utf8'),
);

describe('philox4x32', () => {
  it('gives the published answer', () => {
    const [{ counter, key, words }] = fixture.knownAnswers;
    expect(counter).toEqual([0, 0, 0, 0]); // the others use words 2 and 3 of the counter, which are always 0 here
    const out = new Uint32Array(4);
    philox4x32(0, key[0], key[1], out);
    expect([...out]).toEqual(words);
  });

  it.each(fixture.streams)(
    'gives the words of seed $seed from counter $counter',
    ({ seed, counter, words }) => {
      const drawn: number[] = [];
      const out = new Uint32Array(4);
      for (let block = 0; block * 4 < words.length; block++) {
        philox4x32(counter + block, seed >>> 0, Math.floor(seed / 2 ** 32), out);
        drawn.push(...out);
      }
      expect(drawn).toEqual(words);
    },
  );
});

describe('Random', () => {
  it.each(fixture.streams)(
    'gives the uniform numbers of seed $seed from counter $counter',
    async (stream) => {
      const { seed, counter, uniform } = stream;
      const drawn = await new Random({ seed, counter }).uniform([uniform.length]).toFloat32();
      expect([...drawn]).toEqual(uniform);
    },
  );

  it('resumes from its state', async () => {
    const random = new Random(3);
    random.uniform([5]);
    const resumed = new Random(random.state());
    expect(await resumed.normal([7]).toFloat32()).toEqual(await random.normal([7]).toFloat32());
    expect(resumed.state()).toEqual({ seed: 3, counter: 4 });
  });

  it('draws different numbers each time and in each fork', async () => {
    const random = new Random(3);
    const streams = [random, random, random.fork(0), random.fork(1), new Random(4)];
    const first = await Promise.all(streams.map((stream) => stream.uniform([1]).item()));
    expect(new Set(first).size).toBe(first.length);
  });

  it('draws standard normal numbers', async () => {
    const values = await new Random(9).normal([40000]).toFloat32();
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const moment = (power: number) =>
      values.reduce((sum, value) => sum + (value - mean) ** power, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.03);
    expect(Math.abs(moment(3))).toBeLessThan(0.06);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.15);
    // Neighbours come from one Box–Muller pair: they must not depend on each other.
    const pairs =
      values.reduce((sum, value, i) => (i % 2 ? sum : sum + value * values[i + 1]), 0) / (values.length / 2);
    expect(Math.abs(pairs)).toBeLessThan(0.03);
  });

  it.each([-1, 0.5, 2 ** 53, Number.NaN])('refuses the seed %d', (seed) => {
    expect(() => new Random(seed)).toThrow('[Random] seed out of range');
  });
});
