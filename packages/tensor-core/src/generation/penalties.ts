import { ArgumentError } from '../index.js';

/** What is changed in the logits before a token is chosen, in this order. */
export interface PenaltyOptions {
  /** Added to the logits of single tokens: -100 forbids one, 100 forces it. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /**
   * Logits of all tokens of prompt and text so far are divided by it where positive, multiplied where negative (Keskar
   * et al. 2019, arXiv:1909.05858). Default 1.
   */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted per occurrence in the new text. Default 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Subtracted once from tokens that the new text has. Default 0. */
  readonly presencePenalty?: number | undefined;
}

/** @throws ArgumentError naming the option that is out of range */
export function checkPenalties(
  { logitBias = {}, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 }: PenaltyOptions,
  vocabularySize = Number.POSITIVE_INFINITY,
): void {
  const check = (what: string, got: unknown, valid: boolean, expected: string) => {
    if (!valid) throw new ArgumentError({ where: 'sampling', what, got: String(got), expected });
  };
  const range = 'out of range';
  const positive = repetitionPenalty > 0 && Number.isFinite(repetitionPenalty);
  check(`repetitionPenalty ${range}`, repetitionPenalty, positive, 'above 0');
  check(`frequencyPenalty ${range}`, frequencyPenalty, Number.isFinite(frequencyPenalty), 'a number');
  check(`presencePenalty ${range}`, presencePenalty, Number.isFinite(presencePenalty), 'a number');
  for (const [key, bias] of Object.entries(logitBias)) {
    const id = Number(key);
    const known = Number.isInteger(id) && id >= 0 && id < vocabularySize;
    check('logitBias has an unknown token id', key, known, `0 to ${vocabularySize - 1}`);
    check(`logitBias of token ${key} ${range}`, bias, bias < Number.POSITIVE_INFINITY, 'a number');
  }
}

/** Whether any of the options does something. */
export function changesLogits(options: PenaltyOptions): boolean {
  const { logitBias = {}, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = options;
  const penalized = repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
  return penalized || Object.keys(logitBias).length > 0;
}

/** The tokens that penalties look back on. */
export class TokenHistory {
  private readonly prompt: ReadonlySet<number>;
  private readonly counts = new Map<number, number>();

  constructor(prompt: ArrayLike<number>) {
    this.prompt = new Set(Array.from(prompt));
  }

  add(token: number): void {
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
  }

  /** Applies all penalties to logits [V], in place. */
  penalize(logits: Float32Array, options: PenaltyOptions): void {
    const { logitBias = {}, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = options;
    if (!changesLogits(options)) return;
    const counted = frequencyPenalty !== 0 || presencePenalty !== 0;
    for (const [id, bias] of Object.entries(logitBias)) logits[Number(id)] += bias;
    const repeat = (id: number) => {
      logits[id] = logits[id] > 0 ? logits[id] / repetitionPenalty : logits[id] * repetitionPenalty;
    };
    if (repetitionPenalty !== 1) {
      for (const id of this.prompt) repeat(id);
      for (const id of this.counts.keys()) if (!this.prompt.has(id)) repeat(id);
    }
    if (counted) {
      for (const [id, count] of this.counts) logits[id] -= frequencyPenalty * count + presencePenalty;
    }
  }
}
