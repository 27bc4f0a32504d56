import type { Case } from './split.js';

/** Features of a text: sorted n-grams, as rows of the weights. */
type Features = Int32Array;

export interface RegressionOptions {
  readonly classes: number;
  readonly epochs: number;
  readonly random: () => number;
}

/** Words alone and in pairs, and runs of 1 to 5 characters within words (in Chinese: 1 to 4 of the text). */
function* nGrams({ text, language }: Pick<Case, 'text' | 'language'>): Generator<string> {
  if (language === 'English') {
    const words = text.match(/[\p{L}\p{N}]+/gu) ?? [];
    for (const [i, word] of words.entries()) {
      yield `w:${word}`;
      if (i > 0) yield `w:${words[i - 1]} ${word}`;
    }
  }
  const longest = language === 'Chinese' ? 4 : 5;
  for (const part of language === 'Chinese' ? [text] : text.split(/\s+/).map((word) => ` ${word} `)) {
    for (let length = 1; length <= longest; length++)
      for (let i = 0; i + length <= part.length; i++) yield part.slice(i, i + length);
  }
}

/**
 * Softmax regression over a bag of n-grams, weighted by tf-idf and scaled to length 1; Adagrad, one text at a time. The
 * simple way that every larger model has to beat.
 */
export class NGramRegression {
  private readonly rows = new Map<string, number>();
  private readonly rarity: Float64Array;
  private readonly weights: Float32Array;
  private readonly bias: Float32Array;

  constructor(
    cases: readonly Case[],
    private readonly options: RegressionOptions,
  ) {
    const counts = new Map<string, number>();
    for (const each of cases)
      for (const gram of new Set(nGrams(each))) counts.set(gram, (counts.get(gram) ?? 0) + 1);
    for (const [gram, count] of counts) if (count > 1) this.rows.set(gram, this.rows.size);
    this.rarity = Float64Array.from(
      this.rows.keys(),
      (gram) => 1 + Math.log(cases.length / (counts.get(gram) as number)),
    );
    this.weights = new Float32Array(this.rows.size * options.classes);
    this.bias = new Float32Array(options.classes);
    this.fit(cases);
  }

  get bytes(): number {
    return this.weights.byteLength + this.bias.byteLength;
  }

  /** Class scores [classes]. */
  score(text: Pick<Case, 'text' | 'language'>): Float32Array {
    return this.scoresOf(this.featuresOf(text));
  }

  private featuresOf(text: Pick<Case, 'text' | 'language'>): { rows: Features; values: Float64Array } {
    const counts = new Map<number, number>();
    for (const gram of nGrams(text)) {
      const row = this.rows.get(gram);
      if (row !== undefined) counts.set(row, (counts.get(row) ?? 0) + 1);
    }
    const rows = Int32Array.from(counts.keys());
    const values = Float64Array.from(counts, ([row, count]) => (1 + Math.log(count)) * this.rarity[row]);
    const length = Math.hypot(...values) || 1;
    return { rows, values: values.map((value) => value / length) };
  }

  private scoresOf({ rows, values }: ReturnType<NGramRegression['featuresOf']>): Float32Array {
    const { classes } = this.options;
    const scores = Float32Array.from(this.bias);
    for (let f = 0; f < rows.length; f++) {
      const first = rows[f] * classes;
      for (let c = 0; c < classes; c++) scores[c] += this.weights[first + c] * values[f];
    }
    return scores;
  }

  private fit(cases: readonly Case[]): void {
    const { classes, epochs, random } = this.options;
    const features = cases.map((each) => this.featuresOf(each));
    const squares = new Float32Array(this.weights.length).fill(1e-6);
    const order = [...cases.keys()];
    for (let epoch = 0; epoch < epochs; epoch++) {
      shuffle(order, random);
      for (const i of order) {
        const { rows, values } = features[i];
        const errors = softmax(this.scoresOf(features[i]));
        errors[cases[i].chapter] -= 1;
        for (let f = 0; f < rows.length; f++) {
          const first = rows[f] * classes;
          for (let c = 0; c < classes; c++) {
            const gradient = errors[c] * values[f];
            squares[first + c] += gradient * gradient;
            this.weights[first + c] -= (RATE * gradient) / Math.sqrt(squares[first + c]);
          }
        }
        for (let c = 0; c < classes; c++) this.bias[c] -= 0.01 * errors[c];
      }
    }
  }
}

const RATE = 0.3;

export function softmax(scores: Float32Array, temperature = 1): Float64Array {
  const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(scores, (score) => Math.exp((score - largest) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function shuffle(order: number[], random: () => number): void {
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
}
