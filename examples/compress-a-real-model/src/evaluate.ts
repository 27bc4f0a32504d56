import { countParameters, measureSpeed, type PairedScore, pairedBootstrap, perplexity } from '@frugal/eval';
import { type CausalLM, modelBytes } from '@frugal/tensor-core/nn';
import type { Settings } from './settings.js';
import type { Source } from './source.js';

/** One row of the table. */
export interface Measured {
  readonly name: string;
  readonly parameters: number;
  /** In memory, weights and embedding. */
  readonly bytes: number;
  readonly bitsPerByte: number;
  /** Change of bits per byte against the source, in percent, with its interval; null for the source. */
  readonly change: readonly [value: number, low: number, high: number] | null;
  readonly promptTokensPerSecond: number;
  readonly newTokensPerSecond: number;
}

/** Bits and bytes of each held-out speech. */
export type Scores = readonly { readonly bits: number; readonly bytes: number }[];

export async function scoresOf(
  model: CausalLM,
  { tokenizer, heldOut }: Source,
  { evaluation: { context } }: Settings,
): Promise<Scores> {
  const scores: { bits: number; bytes: number }[] = [];
  for (const text of heldOut) {
    const { bitsPerByte, bytes } = await perplexity(model, tokenizer, text, { context });
    scores.push({ bits: bitsPerByte * bytes, bytes });
  }
  return scores;
}

/** Size, quality beside that of the source on the same speeches, and speed of one stream. */
export async function measure(
  name: string,
  model: CausalLM,
  scores: Scores,
  { reference, settings: { speed } }: { readonly reference: Scores | null; readonly settings: Settings },
): Promise<Measured> {
  const measured = await measureSpeed(model, { ...speed, repeats: 3 });
  return {
    name,
    parameters: countParameters(model),
    bytes: modelBytes(model),
    bitsPerByte: meanOf(scores),
    change: reference && changeAgainst(scores, reference),
    promptTokensPerSecond: measured.prefillTokensPerSecond.median,
    newTokensPerSecond: measured.decodeTokensPerSecond.median,
  };
}

function meanOf(scores: Scores): number {
  const total = (key: 'bits' | 'bytes') => scores.reduce((sum, score) => sum + score[key], 0);
  return total('bits') / total('bytes');
}

function changeAgainst(scores: Scores, reference: Scores): [number, number, number] {
  const pairs: PairedScore[] = scores.map(({ bits, bytes }, i) => ({
    first: bits,
    second: reference[i].bits,
    weight: bytes,
  }));
  const { difference, low, high } = pairedBootstrap(pairs);
  const percent = (value: number) => (100 * value) / meanOf(reference);
  return [percent(difference), percent(low), percent(high)];
}
