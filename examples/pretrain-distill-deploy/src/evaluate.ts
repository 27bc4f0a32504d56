import { modelBytes } from '@frugal/compress';
import { perplexity } from '@frugal/eval';
import { generate } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';
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

const SPEED_TOKENS = 64;

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
    tokensPerSecond: await decodeSpeed(model, Math.min(SPEED_TOKENS, settings.context / 2)),
    trainingTokens: record.tokens,
    trainingSeconds: record.seconds,
  };
}

/** Numbers that the model consists of, whatever format they are stored in; shared ones once. */
function countParameters(model: CausalLM): number {
  const counted = new Set<unknown>();
  let total = 0;
  const count = (key: unknown, size: number) => {
    if (!counted.has(key)) total += size;
    counted.add(key);
  };
  for (const parameter of model.parameters()) count(parameter, parameter.value.size);
  for (const [, module] of model.namedModules()) {
    const { weight } = module as { weight?: { format?: string; shape: readonly number[] } };
    if (weight?.format) count(weight, weight.shape[0] * weight.shape[1]);
  }
  return total;
}

async function decodeSpeed(model: CausalLM, maxTokens: number): Promise<number> {
  let first = 0;
  let count = 0;
  for await (const _ of generate(model, [0], { maxTokens })) {
    if (count++ === 0) first = performance.now();
  }
  return ((count - 1) * 1000) / (performance.now() - first);
}
