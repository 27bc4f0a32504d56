import { textFraction } from '../documents.js';
import { mixBits, WordHasher } from '../words.js';

export interface ClassifierOptions {
  /** Passes over the examples. Default 5. */
  readonly epochs?: number;
  /** Step of the first example; falls to zero. Default 0.5. */
  readonly learningRate?: number;
}

export interface TrainedClassifier {
  readonly classifier: DomainClassifier;
  /**
   * Area under the ROC curve on examples that were not trained on, chosen by the hash of their text: how often one of the
   * domain scores above another. Undefined when one side has none.
   */
  readonly heldOutAuc: number | undefined;
}

interface Example {
  readonly features: Uint32Array;
  /** 1 in the domain, 0 outside. */
  readonly label: number;
  /** So that both sides count the same, however many examples each has. */
  readonly weight: number;
}

const BUCKETS = 2 ** 18;
/** The beginning of a text tells its domain. */
const WORDS_READ = 1000;
const HELD_OUT = 0.1;

/**
 * Logistic regression over hashed words and pairs of words (characters in Chinese), as fastText does (Joulin et al. 2017)
 * but without an embedding: small, quick, and the same in every run.
 */
export class DomainClassifier {
  private readonly weights = new Float32Array(BUCKETS);
  private bias = 0;
  private readonly words = new WordHasher();

  /**
   * Learns to tell texts of a domain from others.
   * @throws RangeError when one of the sides is empty
   */
  static train(
    domain: readonly string[],
    others: readonly string[],
    { epochs = 5, learningRate = 0.5 }: ClassifierOptions = {},
  ): TrainedClassifier {
    if (domain.length === 0 || others.length === 0) {
      const got = `${domain.length} of the domain, ${others.length} others`;
      throw new RangeError(`[DomainClassifier] too few texts: got ${got}; expected some of both.`);
    }
    const classifier = new DomainClassifier();
    const isHeldOut = (text: string) => textFraction(text) < HELD_OUT;
    const toTrain = (texts: readonly string[], label: number): Example[] => {
      const left = texts.filter((text) => !isHeldOut(text));
      const used = left.length > 0 ? left : texts;
      return used.map((text) => ({
        features: classifier.featuresOf(text),
        label,
        weight: 0.5 / used.length,
      }));
    };
    classifier.fit([...toTrain(domain, 1), ...toTrain(others, 0)], epochs, learningRate);
    const scores = [domain, others].map((texts) =>
      texts.filter(isHeldOut).map((text) => classifier.score(text)),
    );
    // Rare words of the larger side outweigh the smaller one: the middle between both lies where held-out texts say.
    if (scores.every(({ length }) => length > 0)) {
      classifier.bias -= (middleLogit(scores[0]) + middleLogit(scores[1])) / 2;
    }
    return { classifier, heldOutAuc: areaUnderCurve(scores[0], scores[1]) };
  }

  /** Probability that a text is of the domain, were half of all texts. */
  score(text: string): number {
    return this.probability(this.featuresOf(text));
  }

  private fit(examples: readonly Example[], epochs: number, learningRate: number): void {
    const steps = epochs * examples.length;
    for (let step = 0, epoch = 0; epoch < epochs; epoch++) {
      const order = Uint32Array.from(examples, (_, i) => i);
      const keys = order.map((i) => mixBits(i + 1 + epoch * 0x9e3779b1));
      order.sort((a, b) => keys[a] - keys[b] || a - b);
      for (const i of order) {
        const { features, label, weight } = examples[i];
        const error = label - this.probability(features);
        const rate = learningRate * (1 - step++ / steps) * weight * examples.length * error;
        const share = rate / Math.sqrt(Math.max(1, features.length));
        for (const feature of features) this.weights[feature] += share;
        this.bias += rate * 0.1;
      }
    }
  }

  private probability(features: Uint32Array): number {
    let sum = 0;
    for (const feature of features) sum += this.weights[feature];
    return 1 / (1 + Math.exp(-(sum / Math.sqrt(Math.max(1, features.length)) + this.bias)));
  }

  /** Buckets of each word and each pair of neighbours. */
  private featuresOf(text: string): Uint32Array {
    const words = this.words.hash(text).subarray(0, WORDS_READ);
    const features = new Uint32Array(Math.max(0, 2 * words.length - 1));
    for (let i = 0; i < words.length; i++) {
      features[i] = words[i] % BUCKETS;
      if (i > 0) features[words.length + i - 1] = mixBits(Math.imul(words[i - 1], 31) + words[i]) % BUCKETS;
    }
    return features;
  }
}

/** How often one of `high` is above one of `low`, halves for ties (Mann and Whitney). */
function areaUnderCurve(high: readonly number[], low: readonly number[]): number | undefined {
  if (high.length === 0 || low.length === 0) return undefined;
  const sorted = Float64Array.from(low).sort();
  let wins = 0;
  for (const score of high) wins += (countBelow(sorted, score, false) + countBelow(sorted, score, true)) / 2;
  return wins / (high.length * low.length);
}

/** Values of a sorted list below `limit`, or also those equal to it. */
function countBelow(sorted: Float64Array, limit: number, orEqual: boolean): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (sorted[middle] < limit || (orEqual && sorted[middle] === limit)) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** log p / (1 - p) of the median. */
function middleLogit(scores: readonly number[]): number {
  const median = Float64Array.from(scores).sort()[scores.length >> 1];
  const p = Math.min(1 - 1e-12, Math.max(1e-12, median));
  return Math.log(p / (1 - p));
}
