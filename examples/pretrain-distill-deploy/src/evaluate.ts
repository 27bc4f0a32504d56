import { countParameters, measureSpeed, perplexity } from '@frugal/eval';
import { modelBytes } from '@frugal/tensor-core/nn';
import type { Laboratory, Trained } from './pretrain.js';

/** One row of the table. */
export interface Measured {
  readonly parameters: number;
  readonly bytes: number;
  /** Bits per byte of held-out text, by language. */
  readonly bitsPerByte: Readonly<Record<string, number>>;
  /** New tokens per second of one stream. */
  readonly tokensPerSecond: number;
  readonly trainingTokens: number;
  readonly trainingSeconds: number;
}

export async function measure({ settings, data }: Laboratory, { model, record }: Trained): Promise<Measured> {
  const bitsPerByte: Record<string, number> = {};
  for (const [language, texts] of data.heldOut) {
    const score = await perplexity(model, data.tokenizer, texts, { context: settings.sequence });
    bitsPerByte[language] = score.bitsPerByte;
  }
  return {
    parameters: countParameters(model),
    bytes: modelBytes(model),
    bitsPerByte,
    tokensPerSecond: (await measureSpeed(model, { promptTokens: 8, newTokens: settings.context / 8 }))
      .decodeTokensPerSecond.median,
    trainingTokens: record.tokens,
    trainingSeconds: record.seconds,
  };
}
