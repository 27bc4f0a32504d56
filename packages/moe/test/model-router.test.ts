import { describe, expect, it } from 'vitest';
import { compareRouting, type ModelOutcome, ModelRouter } from '../src/index.js';

const models = [
  { name: 'small', cost: 1 },
  { name: 'large', cost: 8 },
  { name: '中文', cost: 2 },
];

const english = 'the of senate country peace nation people law congress treaty union state power war'.split(
  ' ',
);
const technical = 'tensor gradient kernel matrix backward dispatch buffer stride quantize epsilon'.split(' ');
const chinese = [...'却说曹操引兵追赶玄德望西而走三国英雄天下大势分久必合'];

/** Easy English for all, technical English for the large one alone, Chinese for its own model; with some noise. */
function outcomes(count: number, seed: number): ModelOutcome[] {
  let state = seed;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const words = (list: readonly string[], joint: string) =>
    Array.from({ length: 12 }, () => list[Math.floor(draw() * list.length)]).join(joint);
  return Array.from({ length: count }, (_, i) => {
    const noise = () => 0.1 * (draw() - 0.5);
    const [small, large, zh] = [
      [0.9, 0.92, 0.3],
      [0.3, 0.9, 0.2],
      [0.1, 0.6, 0.8],
    ][i % 3];
    const text = [
      words(english, ' '),
      words([...technical, ...english.slice(0, 4)], ' '),
      words(chinese, ''),
    ][i % 3];
    return { text, quality: [small + noise(), large + noise(), zh + noise()] };
  });
}

const router = ModelRouter.train(models, outcomes(240, 1), { seed: 3 });
const unseen = outcomes(150, 99);

describe('ModelRouter', () => {
  it('sends texts to the cheapest model that is good enough', () => {
    const chosen = unseen.map(({ text }) => router.choose(text, 0.15));
    const right = chosen.filter((m, i) => m === [0, 1, 2][i % 3]).length;
    expect(right / unseen.length).toBeGreaterThan(0.95);
    // Without tolerance easy texts go where they are a little better.
    expect(router.choose(unseen[0].text, 0)).not.toBe(2);
  });

  it('is as good as the best model at less cost, and cheaper than chance at equal quality', () => {
    const compared = compareRouting(router, unseen, 0.15);
    expect(compared.alwaysBest.cost).toBe(8);
    expect(compared.router.quality).toBeGreaterThan(compared.alwaysBest.quality);
    expect(compared.router.cost).toBeLessThan(0.6 * compared.alwaysBest.cost);
    expect(compared.randomCostAtEqualQuality).toBe(null); // no draw between the two is as good
    const loose = compareRouting(router, unseen, 0.5);
    expect(loose.randomCostAtEqualQuality).not.toBe(null);
    expect(loose.router.cost).toBeLessThan(loose.randomCostAtEqualQuality as number);
  });

  it('is the same for the same seed, and after JSON', () => {
    const again = ModelRouter.train(models, outcomes(240, 1), { seed: 3 });
    const loaded = ModelRouter.fromJSON(JSON.parse(JSON.stringify(router)));
    for (const { text } of unseen.slice(0, 9)) {
      expect(again.predict(text)).toEqual(router.predict(text));
      expect(loaded.predict(text)).toEqual(router.predict(text));
    }
  });

  it('copes with texts of nothing and of things never seen', () => {
    for (const text of ['', '🙂', '\u0000']) expect(router.predict(text).every(Number.isFinite)).toBe(true);
  });

  it('refuses examples that do not fit', () => {
    expect(() => ModelRouter.train(models, [])).toThrow(/3 models, 0 examples/);
    expect(() => ModelRouter.train(models, [{ text: 'x', quality: [1, 2] }])).toThrow(/example 0.*\[1, 2\]/);
    expect(() => ModelRouter.fromJSON({ ...router.toJSON(), buckets: 7 })).toThrow(/no saved router/);
  });
});
