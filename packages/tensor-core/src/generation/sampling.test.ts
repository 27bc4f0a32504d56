import { describe, expect, it } from 'vitest';
import { ArgumentError, NonFiniteError } from '../index.js';
import { checkSampling, type SamplingOptions, sampleToken } from './sampling.js';

const logits = Float32Array.from([1, 3, 2, -1, 0, 3.5, -20, 2.5]);

function frequencies(options: SamplingOptions, draws = 20000): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < draws; i++) counts[sampleToken(logits, options, i)]++;
  return counts.map((count) => count / draws);
}

function softmax(temperature: number): number[] {
  const weights = [...logits].map((x) => Math.exp(x / temperature));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / total);
}

describe('sampleToken', () => {
  it('is greedy at temperature 0, the first of equals', () => {
    expect(sampleToken(logits, {}, 3)).toBe(5);
    expect(sampleToken(Float32Array.of(1, 4, 4), {}, 0)).toBe(1);
  });

  it.each([0.5, 1, 2])('follows the softmax at temperature %d', (temperature) => {
    const expected = softmax(temperature);
    for (const [id, frequency] of frequencies({ temperature, seed: 3 }).entries()) {
      expect(Math.abs(frequency - expected[id])).toBeLessThan(0.015);
    }
  });

  it('topK keeps the k most likely', () => {
    const seen = frequencies({ temperature: 5, topK: 3 });
    expect(seen.map((f, id) => (f > 0 ? id : -1)).filter((id) => id >= 0)).toEqual([1, 5, 7]);
  });

  it('topP keeps the smallest set that reaches the mass', () => {
    const probabilities = softmax(1)
      .map((p, id) => ({ p, id }))
      .sort((a, b) => b.p - a.p);
    const topP = probabilities[0].p + probabilities[1].p - 1e-3;
    const seen = frequencies({ temperature: 1, topP });
    expect(
      seen
        .map((f, id) => (f > 0 ? id : -1))
        .filter((id) => id >= 0)
        .sort(),
    ).toEqual([probabilities[0].id, probabilities[1].id].sort());
  });

  it('minP drops what is unlikely beside the best', () => {
    const seen = frequencies({ temperature: 1, minP: 0.3 });
    expect(seen[2]).toBe(0);
    expect(seen[7]).toBeGreaterThan(0);
  });

  it('gives the same token for the same seed and index, and other texts for other seeds', () => {
    const text = (seed: number) =>
      Array.from({ length: 50 }, (_, i) => sampleToken(logits, { temperature: 1, seed }, i));
    expect(text(1)).toEqual(text(1));
    expect(text(1)).not.toEqual(text(2));
  });

  it.each([
    [Number.NaN, 1, 2],
    [1, Number.NaN],
    [1, Number.POSITIVE_INFINITY],
    [-1 / 0, -1 / 0],
  ])('refuses broken logits %#', (...broken) => {
    for (const temperature of [0, 1])
      expect(() => sampleToken(Float32Array.from(broken), { temperature }, 4)).toThrow(NonFiniteError);
  });

  it('never draws forbidden tokens', () => {
    const allowed = Float32Array.of(-1 / 0, 0, -1 / 0, 0);
    for (let i = 0; i < 50; i++) expect(sampleToken(allowed, { temperature: 1 }, i) % 2).toBe(1);
  });

  it.each([
    ['temperature', { temperature: -1 }],
    ['topP', { topP: 0 }],
    ['topK', { topK: 1.5 }],
    ['minP', { minP: 2 }],
    ['seed', { seed: -1 }],
  ])('refuses %s out of range', (name, options) => {
    expect(() => checkSampling(options)).toThrow(ArgumentError);
    expect(() => checkSampling(options)).toThrow(name);
  });
});
