import { readDocuments } from '@frugal/data';
import { type PairedDifference, type PairedScore, pairedBootstrap, perplexity } from '@frugal/eval';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { openModel } from '../model.js';
import { withProgress } from '../progress.js';

/** What a teacher was good for. */
export interface Comparison {
  /** Bits per byte of held-out documents: the student with its teacher, and the same student without. */
  readonly taught: number;
  readonly alone: number;
  /** alone - taught: positive where the teacher helped. */
  readonly gain: PairedDifference;
}

export interface ArmPaths {
  readonly taught: string;
  readonly alone: string;
}

/** Texts of at least two tokens: of the others there is nothing to predict. @throws CommandError for fewer than two */
export async function heldOutTexts(files: readonly string[], tokenizer: Tokenizer): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of readDocuments(files)) if (tokenizer.encode(text).length >= 2) texts.push(text);
  if (texts.length >= 2) return texts;
  throw new CommandError({
    where: '--held-out',
    what: 'too few documents for a confidence interval',
    got: String(texts.length),
    expected: 'at least 2, as lines of a .jsonl file or several files',
  });
}

/** Scores both students document by document; the interval comes from a paired bootstrap over documents. */
export async function compareArms(
  paths: ArmPaths,
  texts: readonly string[],
  tokenizer: Tokenizer,
  { window, context }: { readonly window: number; readonly context: Context },
): Promise<Comparison> {
  const scores: Record<keyof ArmPaths, Cost[]> = { taught: [], alone: [] };
  for (const arm of ['alone', 'taught'] as const) {
    const model = await openModel(paths[arm], context);
    try {
      scores[arm] = await costs(model, texts, tokenizer, { window, context });
    } finally {
      model.dispose();
    }
  }
  const pairs: PairedScore[] = scores.alone.map(({ bits, bytes }, i) => ({
    first: bits,
    second: scores.taught[i].bits,
    weight: bytes,
  }));
  return {
    taught: bitsPerByte(scores.taught),
    alone: bitsPerByte(scores.alone),
    gain: pairedBootstrap(pairs),
  };
}

interface Cost {
  readonly bits: number;
  readonly bytes: number;
}

async function costs(
  model: CausalLM,
  texts: readonly string[],
  tokenizer: Tokenizer,
  { window, context }: { readonly window: number; readonly context: Context },
): Promise<Cost[]> {
  return withProgress(context, 'Scoring', async (update) => {
    const found: Cost[] = [];
    for (const text of texts) {
      const { signal } = context;
      const score = await perplexity(model, tokenizer, text, { context: window, signal });
      found.push({ bits: score.bitsPerByte * score.bytes, bytes: score.bytes });
      update(found.length, texts.length);
    }
    return found;
  });
}

function bitsPerByte(costs: readonly Cost[]): number {
  const [bits, bytes] = [sum(costs.map((cost) => cost.bits)), sum(costs.map((cost) => cost.bytes))];
  return bits / bytes;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
