import type { Engine, FinishReason, GenerationEvent, GenerationRequest, Usage } from '../../src/index.js';

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

export function run(engine: Engine, request: Partial<GenerationRequest>): Promise<Collected> {
  return collect(engine.submit({ model: 'tiny', prompt: { text: 'Hello' }, logprobs: 0, ...request }));
}

/** Lets other work run until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 5000; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the condition did not come true in 5,000 turns of the event loop');
}
