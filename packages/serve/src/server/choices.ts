import type {
  Engine,
  FinishReason,
  GenerationEvent,
  GenerationRequest,
  TokenLogprobs,
} from '../engine/contract.js';
import { EventStream } from '../engine/event-stream.js';

/** One of the answers to a body, and the request that makes it. */
export interface Choice {
  readonly request: GenerationRequest;
  /** Whether the prompt counts in `usage`: not again for the second answer to the same prompt. */
  readonly countsPrompt: boolean;
}

export interface ChoiceEvent {
  readonly index: number;
  readonly event: GenerationEvent;
}

export interface FinishedChoice {
  readonly text: string;
  readonly logprobs: readonly TokenLogprobs[];
  readonly reason: FinishReason;
}

export interface TotalUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  /** Prompt tokens that earlier requests had computed already. */
  readonly prompt_tokens_details: { cached_tokens: number };
}

/** All answers to one body, running side by side. */
export class Choices {
  readonly usage: TotalUsage = {
    prompt_tokens: 0,
    completion_tokens: 0,
    total_tokens: 0,
    prompt_tokens_details: { cached_tokens: 0 },
  };
  private readonly iterators: AsyncIterator<GenerationEvent>[];

  private constructor(
    private readonly choices: readonly Choice[],
    submit: Engine['submit'],
  ) {
    this.iterators = choices.map(({ request }) => submit(request)[Symbol.asyncIterator]());
  }

  /** Submits all of them. @throws EngineError when any is refused; the others are ended then */
  static async start(submit: Engine['submit'], choices: readonly Choice[]): Promise<Choices> {
    const started = new Choices(choices, submit);
    const firsts = await Promise.allSettled(started.iterators.map((iterator) => iterator.next()));
    const refused = firsts.find((first) => first.status === 'rejected');
    if (!refused) return started;
    await Promise.all(started.iterators.map((iterator) => iterator.return?.()));
    throw refused.reason;
  }

  /** What the answers produce, in the order in which it comes. Leaving the loop ends all of them. */
  async *events(): AsyncGenerator<ChoiceEvent> {
    const merged = new EventStream<ChoiceEvent>();
    let open = this.iterators.length;
    const forward = async (iterator: AsyncIterator<GenerationEvent>, index: number) => {
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        merged.push({ index, event: next.value });
      }
      if (--open === 0) merged.end();
    };
    this.iterators.forEach((iterator, index) => {
      forward(iterator, index).catch((error) => merged.fail(error));
    });
    try {
      for await (const item of merged) {
        if (item.event.type === 'finish') this.count(item);
        yield item;
      }
    } finally {
      for (const iterator of this.iterators) void iterator.return?.();
    }
  }

  /** Waits for all answers. */
  async finished(): Promise<readonly FinishedChoice[]> {
    const results = this.choices.map(() => ({
      text: '',
      logprobs: [] as TokenLogprobs[],
      reason: 'abort' as FinishReason,
    }));
    for await (const { index, event } of this.events()) {
      if (event.type === 'text') {
        results[index].text += event.text;
        results[index].logprobs.push(...(event.logprobs ?? []));
      } else if (event.type === 'finish') {
        results[index].reason = event.reason;
      }
    }
    return results;
  }

  private count({ index, event }: ChoiceEvent): void {
    if (event.type !== 'finish') return;
    if (this.choices[index].countsPrompt) {
      this.usage.prompt_tokens += event.usage.promptTokens;
      this.usage.prompt_tokens_details.cached_tokens += event.usage.cachedTokens;
    }
    this.usage.completion_tokens += event.usage.completionTokens;
    this.usage.total_tokens = this.usage.prompt_tokens + this.usage.completion_tokens;
  }
}
