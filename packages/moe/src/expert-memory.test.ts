import { Random } from '@frugal/tensor-core';
import { describe, expect, it } from 'vitest';
import { ExpertMemory, type ExpertMemoryOptions } from './expert-memory.js';

/** Experts of 10 bytes each that write down what happens to them. */
function shelf(layers: number, experts: number, options: ExpertMemoryOptions) {
  const memory = new ExpertMemory(options);
  const events: string[] = [];
  const inside = new Set<string>();
  for (let l = 0; l < layers; l++)
    memory.addLayer(
      Array.from({ length: experts }, (_, e) => ({
        bytes: 10,
        fetch() {
          expect(inside.has(`${l}.${e}`)).toBe(false);
          inside.add(`${l}.${e}`);
          events.push(`+${l}.${e}`);
          expect(10 * inside.size).toBeLessThanOrEqual(memory.budget);
        },
        release() {
          expect(inside.delete(`${l}.${e}`)).toBe(true);
          events.push(`-${l}.${e}`);
        },
      })),
    );
  const step = (layer: number, chosen: readonly number[], guess: readonly number[] = []) => {
    memory.begin(layer, chosen);
    if (guess.length > 0) memory.expect(layer + 1, guess);
    for (const e of chosen) {
      memory.take(layer, e);
      expect(inside.has(`${layer}.${e}`)).toBe(true);
    }
  };
  return { memory, events, inside, step, taken: () => events.splice(0) };
}

describe('ExpertMemory', () => {
  it('fetches what a step needs once, and lets the least used go', () => {
    const { step, taken } = shelf(1, 4, { budget: 20 });
    step(0, [0]);
    step(0, [0]);
    step(0, [1]);
    expect(taken()).toEqual(['+0.0', '+0.1']);
    step(0, [2]); // 1 was used last, 0 more often
    expect(taken()).toEqual(['-0.1', '+0.2']);
  });

  it('lets the one go that was used longest ago, if so asked', () => {
    const { step, taken } = shelf(1, 4, { budget: 20, eviction: 'least-recent' });
    for (const e of [0, 0, 1, 2]) step(0, [e]);
    expect(taken()).toEqual(['+0.0', '+0.1', '-0.0', '+0.2']);
  });

  it('forgets what was used often, long ago', () => {
    const { step, taken } = shelf(1, 3, { budget: 20 });
    for (let i = 0; i < 40; i++) step(0, [0]);
    for (let i = 0; i < 2000; i++) step(0, [1]);
    for (let i = 0; i < 3; i++) step(0, [1]);
    taken();
    step(0, [2]);
    step(0, [2]);
    expect(taken()).toEqual(['-0.0', '+0.2']);
  });

  it('computes a step that needs more than fits, one expert after the other', () => {
    const { step, memory, inside } = shelf(1, 8, { budget: 30 });
    step(0, [0, 1, 2, 3, 4, 5, 6, 7]);
    expect(inside.size).toBe(3);
    expect(memory.use).toMatchObject({ needed: 8, present: 0, residentBytes: 30 });
  });

  it('reads ahead what the next layer will want, and never throws out what this one needs for it', () => {
    const { step, taken, memory } = shelf(2, 4, { budget: 30 });
    step(0, [0, 1], [2, 3]);
    expect(taken()).toEqual(['+0.0', '+0.1', '+1.2']); // 1.3 would have to displace 0.0 or 0.1
    step(1, [2]);
    expect(taken()).toEqual([]);
    expect(memory.use).toMatchObject({ needed: 3, present: 1, fetchedAhead: 1, fetchedInVain: 0 });
  });

  it('stops to guess where guesses do not come true, and begins again when they would', () => {
    const { step, memory } = shelf(2, 64, { budget: 100 });
    let e = 0;
    const round = (isRight: boolean) => {
      e = (e + 1) % 60;
      step(0, [e], [e + 1]);
      step(1, [isRight ? e + 1 : (e + 31) % 64]);
    };
    for (let i = 0; i < 60; i++) round(false);
    const afterBad = memory.use;
    expect(afterBad.fetchedInVain).toBeGreaterThan(10);
    for (let i = 0; i < 60; i++) round(false);
    expect(memory.use.fetchedAhead).toBe(afterBad.fetchedAhead);
    for (let i = 0; i < 200; i++) round(true);
    expect(memory.use.fetchedAhead).toBeGreaterThan(afterBad.fetchedAhead + 50);
  });

  it('goes on with the ranks that come true where others do not, for any number of rows', () => {
    for (const rows of [1, 2]) {
      const { memory, events } = shelf(2, 64, { budget: 200 });
      const fetched = { first: 0, second: 0 };
      for (let i = 0; i < 200; i++) {
        // Each row: its first guess comes true, its second one does not. An expert comes again when it has left memory long ago.
        const first = Array.from({ length: rows }, (_, r) => (2 * (i * rows + r)) % 64);
        const second = first.map((e) => e + 1);
        memory.begin(0, [0]);
        memory.take(0, 0);
        events.splice(0);
        memory.expect(1, [...first, ...second], rows);
        if (i >= 100)
          for (const event of events.filter((each) => each.startsWith('+')))
            fetched[first.includes(Number(event.slice(3))) ? 'first' : 'second']++;
        memory.begin(1, first);
        for (const e of first) memory.take(1, e);
      }
      expect(fetched).toEqual({ first: 100 * rows, second: 0 });
    }
  });

  it('comes near the best fixed choice where routing is skewed, which the least-recent rule does not', async () => {
    const [E, steps] = [16, 4000];
    const shares = Array.from({ length: E }, (_, e) => 1 / (e + 1));
    const ends = shares.map((_, e) => shares.slice(0, e + 1).reduce((sum, share) => sum + share));
    const total = ends[E - 1];
    // With half of the experts in memory: those that are used most (independent draws, so that nothing else can help).
    const best = ends[E / 2 - 1] / total;
    const draws = await new Random(3).uniform([steps]).toFloat32();
    const present = (eviction: 'frequency' | 'least-recent') => {
      const { step, memory } = shelf(1, E, { budget: 10 * (E / 2), eviction });
      for (const draw of draws) {
        const e = ends.findIndex((end) => draw * total <= end);
        step(0, [(5 * e) % E]); // the index says nothing
      }
      return memory.use.present / steps;
    };
    expect(present('frequency')).toBeGreaterThan(best - 0.05);
    expect(present('frequency')).toBeLessThan(best + 0.02);
    expect(present('least-recent')).toBeLessThan(present('frequency') - 0.02);
  });

  it('refuses a budget that holds no expert', () => {
    expect(() => shelf(1, 2, { budget: 9 })).toThrow(/does not fit.*9 bytes.*at least 10/s);
  });
});
