import { type OpProfile, profile } from '@frugal/tensor-core';
import { ModelSteps, modelCache, sampleTokens } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';

/** Where the time of one new token goes. */
export interface DecodeProfile {
  readonly secondsPerToken: number;
  /** Share of that time in which no kernel ran: 0 to 1. */
  readonly outsideKernels: number;
  /** Kernels of one token, the most expensive first. */
  readonly kernels: readonly OpProfile[];
  /** Whether steps were recorded and replayed; otherwise they ran op by op. */
  readonly replayed: boolean;
}

export interface DecodeProfileOptions {
  /** Tokens before the first new one; default 512, or what the context allows. */
  readonly promptTokens?: number | undefined;
  /** Tokens that are measured; default 32. */
  readonly newTokens?: number | undefined;
}

/** Steps before the measurement: their shape must have come twice to be recorded. */
const WARM_UP = 4;

/** Greedy decoding of one stream, measured kernel by kernel. */
export async function profileDecode(
  model: CausalLM,
  options: DecodeProfileOptions = {},
): Promise<DecodeProfile> {
  const { promptTokens = Math.min(512, model.contextLength >> 1), newTokens = 32 } = options;
  const cache = modelCache(model, { tokens: promptTokens + WARM_UP + newTokens + 1 });
  const steps = new ModelSteps(model, cache);
  const sequence = cache.open();
  const step = async (tokens: readonly number[], index: number): Promise<number> => {
    const { logits } = steps.run([{ sequence, tokens, logits: 1 }]);
    if (!logits) return 0;
    const [id] = await sampleTokens(logits, [{ options: {}, index }]).finally(() => logits.dispose());
    return id;
  };
  let token = await step(
    Array.from({ length: promptTokens }, (_, i) => (i * 7919) % model.vocabularySize),
    0,
  );
  const decode = async (count: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < count; i++) token = await step([token], i);
    return (performance.now() - start) / 1000;
  };
  try {
    await decode(WARM_UP);
    steps.measure(true);
    const seconds = await decode(newTokens);
    const replayed = steps.measure(false);
    if (replayed.length > 0) return summarize(seconds, replayed, newTokens, true);
    const direct = await profile(() => decode(newTokens));
    return summarize(direct.result, direct.ops, newTokens, false);
  } finally {
    steps.dispose();
    cache.dispose();
  }
}

function summarize(
  seconds: number,
  ops: readonly OpProfile[],
  tokens: number,
  replayed: boolean,
): DecodeProfile {
  const merged = new Map<string, { calls: number; seconds: number }>();
  for (const { op, calls, seconds: spent } of ops) {
    const sum = merged.get(op) ?? { calls: 0, seconds: 0 };
    merged.set(op, { calls: sum.calls + calls / tokens, seconds: sum.seconds + spent / tokens });
  }
  const kernels = [...merged].map(([op, sum]) => ({ op, ...sum })).sort((a, b) => b.seconds - a.seconds);
  const inside = kernels.reduce((sum, kernel) => sum + kernel.seconds, 0);
  const secondsPerToken = seconds / tokens;
  return { secondsPerToken, outsideKernels: Math.max(0, 1 - inside / secondsPerToken), kernels, replayed };
}
