import { describe, expect, it } from 'vitest';
import { DataError } from './errors.js';
import { SequenceSampler } from './sequence-sampler.js';

const tokens = Int32Array.from({ length: 1001 }, (_, i) => i);
const options = { length: 10, batch: 3, seed: 7 };

describe('SequenceSampler', () => {
  it('pairs every token with the one after it', () => {
    const { sequences, targets } = new SequenceSampler(tokens, options).next();
    const flat = sequences.flatMap((sequence) => [...sequence]);
    expect([...targets]).toEqual(flat.map((token) => token + 1));
  });

  it('visits every piece of an epoch once, and cuts the next epoch elsewhere', () => {
    const sampler = new SequenceSampler(tokens, options);
    const starts = (n: number) =>
      Array.from({ length: n }, () => sampler.next().sequences.map(([first]) => first)).flat();
    const first = starts(sampler.pieces / 3);
    expect(new Set(first).size).toBe(99);
    expect(new Set(first.map((start) => start % 10)).size).toBe(1);
    const second = starts(sampler.pieces / 3);
    expect(second).not.toEqual(first);
  });

  it('has the same sequences in every epoch when it shall not shift', () => {
    const sampler = new SequenceSampler(tokens, { ...options, shift: false });
    const starts = () =>
      Array.from({ length: sampler.pieces / 3 }, () =>
        sampler.next().sequences.map(([first]) => first),
      ).flat();
    const [first, second] = [starts(), starts()];
    expect(second).not.toEqual(first);
    expect(new Set(second)).toEqual(new Set(first));
    expect(() => new SequenceSampler(tokens, options).restore(sampler.state())).toThrow(DataError);
    expect(() => sampler.restore(new SequenceSampler(tokens, options).state())).toThrow(DataError);
  });

  it('continues exactly from a saved state', () => {
    const one = new SequenceSampler(tokens, options);
    for (let i = 0; i < 50; i++) one.next();
    const two = new SequenceSampler(tokens, options);
    two.restore(JSON.parse(JSON.stringify(one.state())));
    for (let i = 0; i < 20; i++) expect(two.next()).toEqual(one.next());
  });

  it('depends on the seed', () => {
    const other = new SequenceSampler(tokens, { ...options, seed: 8 });
    expect(other.next()).not.toEqual(new SequenceSampler(tokens, options).next());
  });

  it('refuses too little text and foreign states', () => {
    expect(() => new SequenceSampler(tokens.subarray(0, 20), options)).toThrow(DataError);
    expect(() => new SequenceSampler(tokens, options).restore({ step: -1 })).toThrow(DataError);
    const saved = new SequenceSampler(tokens, options).state();
    for (const change of [{ batch: 4 }, { length: 11 }, { seed: 8 }]) {
      const other = new SequenceSampler(tokens, { ...options, ...change });
      expect(() => other.restore(saved)).toThrow(/not a state of this sampler/);
    }
    expect(() => new SequenceSampler(tokens.subarray(1), options).restore(saved)).toThrow(DataError);
    expect(() => new SequenceSampler(tokens, { ...options, length: 0 })).toThrow(/length/);
  });
});
