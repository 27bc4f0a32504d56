import type { Engine, FinishReason, GenerationEvent, GenerationRequest, Usage } from '../../src/index.js';

/** Requests of different lengths and kinds of sampling. */
export const requests: readonly Partial<GenerationRequest>[] = [
  { prompt: { text: 'The first' }, maxTokens: 24, temperature: 0 },
  { prompt: { text: 'A much longer prompt that takes several steps to read.' }, maxTokens: 17, seed: 3 },
  { prompt: { text: 'x' }, maxTokens: 30, seed: 4, topP: 0.8 },
  { prompt: { text: '三国演义' }, maxTokens: 9, seed: 5, topK: 20 },
  { prompt: { ids: [72, 101, 108] }, maxTokens: 1, temperature: 0.5, seed: 6 },
];

export interface Collected {
  readonly text: string;
  /** Sampled ids; filled when the request asks for logprobs. The end-of-text token is not among them. */
  readonly ids: number[];
  readonly reason: FinishReason;
  readonly usage: Usage;
}

export async function collect(events: AsyncIterable<GenerationEvent>): Promise<Collected> {
  let text = '';
  const ids: number[] = [];
  for await (const event of events) {
    if (event.type === 'text') {
      text += event.text;
      ids.push(...(event.logprobs ?? []).map(({ id }) => id));
    }
    if (event.type === 'finish') return { text, ids, reason: event.reason, usage: event.usage };
  }
  throw new Error('the stream ended without a finish event');
}

/** The answer to a request. Its seed is 1 unless it says another: a random one may end the text at any token. */
export function run(engine: Engine, request: Partial<GenerationRequest>): Promise<Collected> {
  return collect(
    engine.submit({ model: 'tiny', prompt: { text: 'Hello' }, logprobs: 0, seed: 1, ...request }),
  );
}

/** Lets other work run until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 5000; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the condition did not come true in 5,000 turns of the event loop');
}
