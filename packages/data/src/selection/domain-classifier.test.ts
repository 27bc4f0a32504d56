import { describe, expect, it } from 'vitest';
import { DomainClassifier } from './domain-classifier.js';

/** Sentences of a subject, each of other words and with a number of its own. */
function sentences(subjects: readonly string[], verbs: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const [a, b, verb] = [
      subjects[i % subjects.length],
      subjects[(i * 7 + 3) % subjects.length],
      verbs[i % verbs.length],
    ];
    return `In case ${i} it is said that the ${a} ${verb} a ${b} before the end of day ${i % 9}.`;
  });
}

const medicine = sentences(
  ['doctor', 'patient', 'nurse', 'fever', 'drug'],
  ['treats', 'cures', 'eases'],
  200,
);
const ships = sentences(
  ['captain', 'sailor', 'anchor', 'harbour', 'mast'],
  ['sails', 'hoists', 'moors'],
  600,
);

describe('DomainClassifier', () => {
  const { classifier, heldOutAuc } = DomainClassifier.train(medicine, ships);

  it('tells texts that it was not trained on', () => {
    expect(heldOutAuc).toBeGreaterThan(0.99);
    expect(classifier.score('A nurse gave the patient a drug.')).toBeGreaterThan(0.8);
    expect(classifier.score('The sailor left the harbour.')).toBeLessThan(0.2);
  });

  it('is by chance where there is nothing to tell', () => {
    const [even, odd] = [0, 1].map((side) => [...medicine, ...ships].filter((_, i) => i % 2 === side));
    const { heldOutAuc: chance } = DomainClassifier.train(even, odd);
    expect(chance).toBeGreaterThan(0.2);
    expect(chance).toBeLessThan(0.8);
  });

  it('tells Chinese by its characters', () => {
    const texts = (subject: string) =>
      Array.from({ length: 60 }, (_, i) => `第${i}日，${subject}之事甚多，众人皆知。`);
    const trained = DomainClassifier.train(texts('医生治病用药'), texts('船长出海航行'));
    expect(trained.classifier.score('医生用药')).toBeGreaterThan(0.8);
    expect(trained.classifier.score('出海的船')).toBeLessThan(0.2);
  });

  it('finds a domain among many more others of many kinds', () => {
    const kinds = Array.from({ length: 40 }, (_, kind) =>
      sentences([`noun${kind}`, `thing${kind}`, `place${kind}`], [`does${kind}`, `goes${kind}`], 25),
    ).flat();
    const trained = DomainClassifier.train(medicine.slice(0, 100), [...ships, ...kinds]).classifier;
    const share = (texts: readonly string[]) =>
      texts.filter((text) => trained.score(text) > 0.5).length / texts.length;
    expect(share(medicine.slice(100))).toBeGreaterThan(0.8);
    expect(share(kinds)).toBeLessThan(0.2);
  });

  it('is the same in every run', () => {
    const again = DomainClassifier.train(medicine, ships).classifier;
    expect(again.score(medicine[0])).toBe(classifier.score(medicine[0]));
  });

  it('needs both sides', () => {
    expect(() => DomainClassifier.train([], ships)).toThrow(/expected some of both/);
  });
});
