import { ArgumentError } from '@frugal/tensor-core';
import { defaultCacheDType, PagedKVCache } from '@frugal/tensor-core/generation';
import type { LoadedModel } from './loaded-model.js';
import type { SchedulerLimits } from './scheduler.js';

/** How much an engine takes on at once, for each of its models. */
export interface EngineLimits {
  /** Memory for keys and values, in bytes; default 512 MiB, and never more than `maxRunning` full contexts need. */
  readonly cacheBytes?: number | undefined;
  /** Requests in one batch; default 16. Further ones wait. */
  readonly maxRunning?: number | undefined;
  /** Requests that may wait; default 256. Further ones are refused as `overloaded`. */
  readonly maxWaiting?: number | undefined;
  /** Tokens computed in one step, prompts included; default 256. Smaller: answers flow evenly; larger: prompts are read faster. */
  readonly tokensPerStep?: number | undefined;
  /** Guesses per request and step, for models with a draft; default 8. */
  readonly draftTokens?: number | undefined;
}

export interface ResolvedLimits extends SchedulerLimits {
  readonly contextLength: number;
  readonly cacheTokens: number;
  /** Tokens per page. */
  readonly pageSize: number;
  readonly draftTokens: number;
}

/** @throws ArgumentError for a limit that is not a positive integer, or for a cache without room for one token */
export function resolveLimits({ model, contextLength }: LoadedModel, limits: EngineLimits): ResolvedLimits {
  const { cacheBytes = 2 ** 29, maxRunning = 16, maxWaiting = 256, draftTokens = 8 } = limits;
  const tokensPerStep = limits.tokensPerStep ?? Math.max(256, maxRunning);
  requirePositive({
    ...{ cacheBytes, maxRunning, maxWaiting, tokensPerStep, draftTokens },
    contextLength: contextLength ?? 1,
  });
  if (tokensPerStep < maxRunning) {
    throw new ArgumentError({
      where: 'engine',
      what: 'tokensPerStep is less than maxRunning',
      got: `${tokensPerStep} < ${maxRunning}`,
      hint: 'Every running request needs one token in each step.',
    });
  }
  const pageSize = 16;
  const wanted = contextLength ?? model.contextLength;
  if (wanted > model.contextLength) {
    throw new ArgumentError({
      where: 'engine',
      what: 'contextLength is more than the model can read',
      got: String(wanted),
      expected: `at most ${model.contextLength}`,
    });
  }
  const affordable = Math.floor(
    cacheBytes / PagedKVCache.bytesPerToken(model.cacheSpec, defaultCacheDType(model)),
  );
  if (affordable < pageSize) {
    throw new ArgumentError({
      where: 'engine',
      what: 'cacheBytes is too small for any request',
      got: `${cacheBytes} bytes: ${affordable} tokens`,
      expected: `at least ${pageSize} tokens`,
    });
  }
  const whole = Math.ceil(wanted / pageSize) * pageSize;
  const cacheTokens = Math.min(maxRunning * whole, Math.floor(affordable / pageSize) * pageSize);
  return {
    contextLength: Math.min(wanted, cacheTokens),
    cacheTokens,
    pageSize,
    maxRunning,
    maxWaiting,
    tokensPerStep,
    draftTokens,
  };
}

function requirePositive(values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) {
    if (Number.isSafeInteger(value) && value > 0) continue;
    throw new ArgumentError({
      where: 'engine',
      what: `${name} out of range`,
      got: String(value),
      expected: 'a positive integer',
    });
  }
}
