import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  accuracyOf,
  bootstrapInterval,
  calibrationOf,
  classificationMetrics,
  comparePaired,
  mcnemar,
  wilsonInterval,
} from '../src/index.js';

interface Recorded {
  readonly proportions: readonly { hits: number; items: number; interval: [number, number] }[];
  readonly mcnemar: readonly { gained: number; lost: number; p: number }[];
  readonly classification: {
    truth: number[];
    predicted: number[];
    accuracy: number;
    macroF1: number;
    confusion: number[][];
    precision: number[];
    recall: number[];
    f1: number[];
    items: number[];
  };
}

const fixture: Recorded = JSON.parse(
  readFileSync(new URL('../../../oracles/fixtures/eval.json', import.meta.url), 'utf8'),
);

describe('statistics', () => {
  it.each(fixture.mcnemar)('McNemar %o as in scipy', ({ gained, lost, p }) => {
    expect(mcnemar(gained, lost)).toBeCloseTo(p, 11);
  });

  it.each(fixture.proportions)('Wilson %o as in scipy', ({ hits, items, interval }) => {
    const [low, high] = wilsonInterval(hits, items);
    expect(low).toBeCloseTo(interval[0], 12);
    expect(high).toBeCloseTo(interval[1], 12);
  });

  it('classification as in scikit-learn', () => {
    const { truth, predicted, ...expected } = fixture.classification;
    const metrics = classificationMetrics(truth, predicted);
    expect(metrics.confusion).toEqual(expected.confusion);
    expect(metrics.accuracy).toBeCloseTo(expected.accuracy, 12);
    expect(metrics.macroF1).toBeCloseTo(expected.macroF1, 12);
    metrics.perClass.forEach(({ precision, recall, f1, items }, i) => {
      expect(precision).toBeCloseTo(expected.precision[i], 12);
      expect(recall).toBeCloseTo(expected.recall[i], 12);
      expect(f1).toBeCloseTo(expected.f1[i], 12);
      expect(items).toBe(expected.items[i]);
    });
  });

  it('classification of more items than a call can have arguments', () => {
    const truth = Array.from({ length: 300_000 }, (_, i) => i % 3);
    const { accuracy, macroF1 } = classificationMetrics(truth, truth);
    expect([accuracy, macroF1]).toEqual([1, 1]);
  });

  it('refuses labels that are no class, lists that do not fit, confidences that are none', () => {
    expect(() => classificationMetrics([0, 1], [0, 2], 2)).toThrow(/no class: got 2; expected .*0 to 1/);
    expect(() => classificationMetrics([0, -1], [0, 0])).toThrow(/no class: got -1/);
    expect(() => classificationMetrics([0, 0.5], [0, 0])).toThrow(/no class: got 0\.5/);
    expect(() => classificationMetrics([0, 1], [0])).toThrow(/got 2 and 1/);
    expect(() => classificationMetrics([], [])).toThrow(/got 0 and 0/);
    expect(() => calibrationOf([0.5, Number.NaN], [true, true])).toThrow(/confidence: got NaN/);
    expect(() => calibrationOf([0.5, 1.5], [true, true])).toThrow(/confidence: got 1\.5/);
    expect(() => calibrationOf([0.5], [true, false])).toThrow(/got 1 and 2/);
  });

  it('the bootstrap covers a known mean as often as it says', () => {
    // 200 samples of 60 coin throws each: about 95 % of the intervals hold one half.
    let state = 7;
    const next = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const covered = Array.from({ length: 200 }, (_, i) => {
      const values = Array.from({ length: 60 }, () => Number(next() < 0.5));
      const [low, high] = bootstrapInterval(values, { resamples: 500, seed: i });
      return low <= 0.5 && high >= 0.5;
    }).filter(Boolean).length;
    expect(covered / 200).toBeGreaterThan(0.88);
    expect(covered / 200).toBeLessThan(0.99);
  });

  it('calibration: 0 where confidence is accuracy, their distance elsewhere', () => {
    const right = [true, true, true, false];
    expect(calibrationOf([0.75, 0.75, 0.75, 0.75], right).expectedError).toBeCloseTo(0, 12);
    expect(calibrationOf([1, 1, 1, 1], right).expectedError).toBeCloseTo(0.25, 12);
  });

  it('counts small subjects as much as large ones in the macro average', () => {
    const results = [
      ...Array.from({ length: 8 }, (_, i) => ({ id: `a${i}`, subject: 'large', correct: true })),
      ...Array.from({ length: 2 }, (_, i) => ({ id: `b${i}`, subject: '__proto__', correct: false })),
    ];
    expect(accuracyOf(results)).toMatchObject({ items: 10, correct: 8, accuracy: 0.8, macro: 0.5 });
  });

  it('finds flips that equal accuracy hides', () => {
    const reference = [true, true, false, false].map((correct, i) => ({ id: String(i), correct }));
    const candidate = [false, true, true, false].map((correct, i) => ({ id: String(i), correct }));
    expect(comparePaired(reference, candidate)).toMatchObject({
      difference: 0,
      gained: 1,
      lost: 1,
      flips: 0.5,
      pValue: 1,
    });
  });
});
