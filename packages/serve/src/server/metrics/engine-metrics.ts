import type { EngineStats } from '../../engine/contract.js';

interface EngineMetric {
  readonly name: string;
  readonly help: string;
  readonly field: keyof EngineStats;
  readonly kind: 'gauge' | 'counter';
}

/** The numbers of the engine by the names that Prometheus knows. */
export const engineMetrics: readonly EngineMetric[] = [
  {
    name: 'requests_waiting',
    help: 'Requests that wait for memory or a place in the batch: the length of the queue.',
    field: 'waiting',
    kind: 'gauge',
  },
  { name: 'requests_running', help: 'Requests in the batch.', field: 'running', kind: 'gauge' },
  { name: 'engine_steps_total', help: 'Steps of all models.', field: 'steps', kind: 'counter' },
  {
    name: 'cached_prompt_tokens_total',
    help: 'Prompt tokens of finished requests that earlier ones had computed: cache hits.',
    field: 'cachedTokens',
    kind: 'counter',
  },
  {
    name: 'preemptions_total',
    help: 'How often a running request lost its memory to another one and began again.',
    field: 'preemptions',
    kind: 'counter',
  },
  { name: 'draft_tokens_total', help: 'Tokens that a draft guessed.', field: 'draftTokens', kind: 'counter' },
  {
    name: 'draft_tokens_accepted_total',
    help: 'Guesses of a draft that were right.',
    field: 'draftTokensAccepted',
    kind: 'counter',
  },
  {
    name: 'cache_tokens_held',
    help: 'Tokens in the KV caches of running requests.',
    field: 'cacheTokensHeld',
    kind: 'gauge',
  },
  {
    name: 'cache_tokens_kept',
    help: 'Tokens in the KV caches that are kept for requests that begin alike.',
    field: 'cacheTokensKept',
    kind: 'gauge',
  },
  { name: 'cache_tokens', help: 'Tokens that the KV caches can hold.', field: 'cacheTokens', kind: 'gauge' },
];
