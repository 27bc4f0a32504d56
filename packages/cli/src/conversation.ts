import type { ChatMessage, ChatTemplate } from '@frugal/tokenizers';
import { CommandError } from './errors.js';

/** Where a conversation has to fit. */
export interface Room {
  readonly contextLength: number;
  /** Tokens kept free for an answer. */
  readonly answerTokens: number;
}

/** The messages so far, and the prompt that they make. */
export class Conversation {
  private messages: readonly ChatMessage[] = [];

  constructor(
    private readonly template: Pick<ChatTemplate, 'encode'>,
    private readonly room: Room,
    private system?: string | undefined,
  ) {}

  /** Messages without the system's. */
  get length(): number {
    return this.messages.length;
  }

  get lastQuestion(): string | undefined {
    const question = this.messages.findLast(({ role }) => role === 'user');
    return question?.content as string | undefined;
  }

  /** Forgets all messages; a new text for the system may come. */
  reset(system = this.system): void {
    this.messages = [];
    this.system = system;
  }

  /** Takes the last question and its answer back. */
  undo(): void {
    this.messages = this.messages.slice(
      0,
      Math.max(
        0,
        this.messages.findLastIndex(({ role }) => role === 'user'),
      ),
    );
  }

  /**
   * The prompt for a question; the oldest exchanges that no longer fit are left out.
   * @throws CommandError when the question alone does not fit, ChatTemplateError when the template refuses it
   */
  ask(content: string): { readonly prompt: Int32Array; readonly asked: Asked; readonly forgotten: number } {
    const question = { role: 'user', content };
    const { contextLength, answerTokens } = this.room;
    let kept = this.messages;
    for (;;) {
      const prompt = this.encode([...kept, question]);
      if (
        prompt.length + answerTokens <= contextLength ||
        (kept.length === 0 && prompt.length < contextLength)
      ) {
        return { prompt, asked: [...kept, question], forgotten: this.messages.length - kept.length };
      }
      if (kept.length === 0) {
        throw new CommandError({
          where: 'chat',
          what: 'the message fills the context of the model',
          got: `${prompt.length} tokens`,
          expected: `less than ${contextLength}`,
          hint: 'Shorten it.',
        });
      }
      kept = withoutFirstExchange(kept);
    }
  }

  /** Keeps a question with its answer; what `ask` left out is gone. */
  answer(asked: Asked, content: string): void {
    this.messages = [...asked, { role: 'assistant', content }];
  }

  private encode(messages: readonly ChatMessage[]): Int32Array {
    const opening = this.system === undefined ? [] : [{ role: 'system', content: this.system }];
    return this.template.encode([...opening, ...messages], { addGenerationPrompt: true });
  }
}

/** A conversation that waits for its answer. */
export type Asked = readonly ChatMessage[];

function withoutFirstExchange(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const next = messages.findIndex(({ role }, i) => i > 0 && role === 'user');
  return next < 0 ? [] : messages.slice(next);
}
