import { ArgumentError } from '@frugal/tensor-core';
import { type TextFeatures, textFeatures } from './text-features.js';

/** A whole model that texts can be sent to. */
export interface RoutedModel {
  readonly name: string;
  /** What a text costs there, in any unit: seconds, FLOPs, money. */
  readonly cost: number;
}

/** A text and how well each model did on it, in the order of the models; more is better (minus bits per byte, 1 for right). */
export interface ModelOutcome {
  readonly text: string;
  readonly quality: readonly number[];
}

export interface ModelRouterOptions {
  /** Hash buckets of n-grams. Default 4096. */
  readonly buckets?: number;
  /** Passes over the examples. Default 40. */
  readonly epochs?: number;
  readonly seed?: number;
}

/** What {@link ModelRouter.toJSON} gives. */
export interface ModelRouterState {
  readonly version: 1;
  readonly models: readonly RoutedModel[];
  readonly buckets: number;
  /** [models, buckets]. */
  readonly weights: readonly (readonly number[])[];
  /** [models]. */
  readonly means: readonly number[];
}

const LEARNING_RATE = 0.3;
const WEIGHT_DECAY = 1e-5;

/**
 * Chooses between models that share nothing, not even a tokenizer: for each of them a linear regression from hashed n-grams of
 * the text to how well it will do; the cheapest that is good enough gets the text (as RouteLLM, Ong et al. 2024,
 * arXiv:2406.18665, and FrugalGPT, Chen et al. 2023, arXiv:2305.05176, with the smallest of predictors).
 */
export class ModelRouter {
  private constructor(
    readonly models: readonly RoutedModel[],
    private readonly buckets: number,
    private readonly weights: readonly Float32Array[],
    private readonly means: readonly number[],
  ) {}

  /**
   * Learns from texts that all models were tried on: AdaGrad on the squared error, the same for the same seed.
   * @throws ArgumentError without models or examples, or when an example does not tell of every model
   */
  static train(
    models: readonly RoutedModel[],
    examples: readonly ModelOutcome[],
    { buckets = 4096, epochs = 40, seed = 0 }: ModelRouterOptions = {},
  ): ModelRouter {
    checkExamples(models, examples);
    const means = models.map((_, m) => mean(examples.map(({ quality }) => quality[m])));
    const weights = models.map(() => new Float32Array(buckets));
    const squares = models.map(() => new Float32Array(buckets).fill(1e-8));
    const features = examples.map(({ text }) => textFeatures(text, buckets));
    for (let epoch = 0; epoch < epochs; epoch++)
      for (const i of shuffled(examples.length, 1000 * seed + epoch))
        for (const [m, own] of weights.entries()) {
          const error = means[m] + dot(own, features[i]) - examples[i].quality[m];
          descend(own, squares[m], features[i], error);
        }
    return new ModelRouter(models, buckets, weights, means);
  }

  /** How well each model will do on a text, as far as the n-grams tell. */
  predict(text: string): number[] {
    const features = textFeatures(text, this.buckets);
    return this.weights.map((own, m) => this.means[m] + dot(own, features));
  }

  /**
   * The index of the cheapest model that is expected to be at most `tolerance` worse than the best; among equally cheap ones
   * the best.
   */
  choose(text: string, tolerance = 0): number {
    const predicted = this.predict(text);
    const enough = Math.max(...predicted) - tolerance;
    const open = predicted.flatMap((quality, m) => (quality >= enough ? [m] : []));
    const { models } = this;
    return open.reduce((best, m) =>
      models[m].cost < models[best].cost ||
      (models[m].cost === models[best].cost && predicted[m] > predicted[best])
        ? m
        : best,
    );
  }

  toJSON(): ModelRouterState {
    const { models, buckets, weights, means } = this;
    return { version: 1, models, buckets, weights: weights.map((own) => [...own]), means };
  }

  /** @throws ArgumentError for a state of another version or with rows that do not fit */
  static fromJSON({ version, models, buckets, weights, means }: ModelRouterState): ModelRouter {
    if (version !== 1 || weights.length !== models.length || weights.some(({ length }) => length !== buckets))
      throw new ArgumentError({
        where: 'ModelRouter.fromJSON',
        what: 'this is no saved router',
        got: `version ${version}, ${weights.length} rows for ${models.length} models`,
      });
    return new ModelRouter(
      models,
      buckets,
      weights.map((row) => Float32Array.from(row)),
      means,
    );
  }
}

/** Mean quality and cost of one way to route. */
export interface RoutingResult {
  readonly quality: number;
  readonly cost: number;
}

export interface RoutingComparison {
  readonly router: RoutingResult;
  /** Everything to the model that is best on average. */
  readonly alwaysBest: RoutingResult;
  /** Everything to the cheapest. */
  readonly alwaysCheapest: RoutingResult;
  /** Cost of drawing between these two at random so that the mean quality is the router's; null when no share gives it. */
  readonly randomCostAtEqualQuality: number | null;
}

/** A router on texts that it was not trained on, beside what one gets without it. */
export function compareRouting(
  router: ModelRouter,
  outcomes: readonly ModelOutcome[],
  tolerance = 0,
): RoutingComparison {
  const { models } = router;
  checkExamples(models, outcomes);
  const resultOf = (chosen: (outcome: ModelOutcome) => number): RoutingResult => ({
    quality: mean(outcomes.map((outcome) => outcome.quality[chosen(outcome)])),
    cost: mean(outcomes.map((outcome) => models[chosen(outcome)].cost)),
  });
  const always = models.map((_, m) => resultOf(() => m));
  const best = always.reduce((a, b) => (b.quality > a.quality ? b : a));
  const cheapest = always.reduce((a, b) => (b.cost < a.cost ? b : a));
  const routed = resultOf(({ text }) => router.choose(text, tolerance));
  const share = (routed.quality - cheapest.quality) / (best.quality - cheapest.quality);
  return {
    router: routed,
    alwaysBest: best,
    alwaysCheapest: cheapest,
    randomCostAtEqualQuality:
      share >= 0 && share <= 1 ? cheapest.cost + share * (best.cost - cheapest.cost) : null,
  };
}

function descend(
  weights: Float32Array,
  squares: Float32Array,
  { indices, values }: TextFeatures,
  error: number,
): void {
  for (const [i, index] of indices.entries()) {
    const gradient = error * values[i] + WEIGHT_DECAY * weights[index];
    squares[index] += gradient * gradient;
    weights[index] -= (LEARNING_RATE * gradient) / Math.sqrt(squares[index]);
  }
}

function dot(weights: Float32Array, { indices, values }: TextFeatures): number {
  let sum = 0;
  for (const [i, index] of indices.entries()) sum += weights[index] * values[i];
  return sum;
}

/** Fisher–Yates with a linear congruential stream (Numerical Recipes). */
function shuffled(count: number, seed: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  let bits = Math.imul(seed + 1, 0x9e3779b9) >>> 0;
  for (let i = count - 1; i > 0; i--) {
    bits = (Math.imul(bits, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((bits / 2 ** 32) * (i + 1)); // the upper bits are the good ones
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function checkExamples(models: readonly RoutedModel[], examples: readonly ModelOutcome[]): void {
  const wrong = examples.findIndex(
    ({ quality }) => quality.length !== models.length || !quality.every(Number.isFinite),
  );
  if (models.length > 0 && examples.length > 0 && wrong < 0) return;
  throw new ArgumentError({
    where: 'ModelRouter',
    what: wrong < 0 ? 'models and examples are needed' : `example ${wrong} does not tell of every model`,
    got:
      wrong < 0
        ? `${models.length} models, ${examples.length} examples`
        : `[${examples[wrong].quality.join(', ')}]`,
    expected: wrong < 0 ? 'one or more of each' : `${models.length} finite numbers`,
  });
}
