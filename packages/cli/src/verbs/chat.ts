import { createInterface, type Interface } from 'node:readline';
import { ChatTemplateError, chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { type Context, printJson } from '../context.js';
import { Conversation } from '../conversation.js';
import { openDraft } from '../draft.js';
import { CommandError } from '../errors.js';
import {
  addGenerationOptions,
  continueText,
  describeSpeed,
  type GenerationOptions,
  type Speaker,
} from '../generation.js';
import { EXPERT_MEMORY_OPTION, modelPath, openSpeaker } from '../model.js';
import { type NamedPlace, PLACE_OPTION } from '../placement.js';
import { PRECISE_OPTION } from '../precise.js';
import { addVerb, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, GenerationOptions, JsonOption {
  readonly system?: string;
  readonly draft?: string;
  readonly precise?: true;
  readonly expertMemory?: number;
  readonly place?: readonly NamedPlace[];
}

const PROMPT = '> ';

const NO_TEMPLATE = 'The model has no chat template: it was not trained to answer. A plain one stands in.\n';

const COMMANDS = `/reset        forget the conversation
/undo         take the last question and its answer back
/retry        answer the last question again, otherwise
/system TEXT  start anew with this before the conversation
/help         show this
/exit         end (also Ctrl-D); Ctrl-C stops an answer
`;

export const chatVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'chat',
    summary: 'talk with a model in its chat template',
    notes: `${COMMANDS}\nInput may be piped: one message per line. --json prints one message per line.`,
    examples: [
      'frugal chat runs/assistant',
      'frugal chat runs/assistant --system "Answer in Chinese." --temperature 0',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .option('--system <TEXT>', 'what stands before the conversation')
    .option(...EXPERT_MEMORY_OPTION)
    .option(...PLACE_OPTION)
    .option(...PRECISE_OPTION);
  addBackendOptions(addGenerationOptions(command, { temperature: 0.7 })).action(
    async (source: string, options: Options) => {
      const path = await modelPath(source, context);
      useBackend(options, context);
      const ready = (tokenizer: Tokenizer) => {
        if (chatTemplate(tokenizer).isDefault) context.terminal.err(NO_TEMPLATE);
      };
      const { tokenizer, model } = await openSpeaker(path, context, { ...options, preferred: true, ready });
      const template = chatTemplate(tokenizer);
      const draft = await openDraft(options.draft, { model, tokenizer }, context);
      const { contextLength } = model;
      const answerTokens = Math.min(options.maxTokens ?? 128, contextLength >> 2);
      const conversation = new Conversation(template, { contextLength, answerTokens }, options.system);
      await new Chat({ model, tokenizer, draft }, conversation, options, context).run();
    },
  );
};

/** Reads messages until the input ends. What an answer fails at is told, and the conversation goes on. */
class Chat {
  /** Each answer has a stream of its own: the same seed would repeat the same draws. */
  private seed: number;

  constructor(
    private readonly speaker: Speaker,
    private readonly conversation: Conversation,
    private readonly options: Options,
    private readonly context: Context,
  ) {
    this.seed = options.seed ?? 0;
  }

  async run(): Promise<void> {
    const { terminal, signal, interrupts } = this.context;
    const lines = this.openInput();
    const stop = () => lines.close();
    signal.addEventListener('abort', stop);
    // A terminal in raw mode gives Ctrl-C to us, not to the process.
    lines.on('SIGINT', () => interrupts.raise() || stop());
    const ask = () => terminal.progressStream && lines.prompt(); // nobody waits for a prompt in a pipe
    try {
      ask();
      for await (const line of lines) {
        if (!(await this.handle(line.trim()))) break;
        ask();
      }
    } finally {
      signal.removeEventListener('abort', stop);
      lines.close();
    }
    signal.throwIfAborted();
  }

  private openInput(): Interface {
    const { input, progressStream } = this.context.terminal;
    const isTerminal = progressStream !== undefined && (input as { isTTY?: boolean }).isTTY === true;
    return createInterface({
      input,
      prompt: PROMPT,
      terminal: isTerminal,
      ...(progressStream && { output: progressStream }),
    });
  }

  /** Returns false when the conversation ends. */
  private async handle(line: string): Promise<boolean> {
    const { terminal } = this.context;
    const { conversation } = this;
    const [command, ...words] = line.split(/\s+/);
    if (!line.startsWith('/')) {
      if (line) await this.answer(line);
      return true;
    }
    if (command === '/exit') return false;
    if (command === '/reset') conversation.reset();
    else if (command === '/undo') conversation.undo();
    else if (command === '/system') conversation.reset(words.join(' ') || undefined);
    else if (command === '/retry') {
      const question = conversation.lastQuestion;
      conversation.undo();
      if (question !== undefined) await this.answer(question);
    } else {
      if (command !== '/help') terminal.err(`There is no ${command}.\n`);
      terminal.err(COMMANDS);
    }
    return true;
  }

  private async answer(question: string): Promise<void> {
    const { terminal, signal, interrupts } = this.context;
    const { conversation, options } = this;
    const stopped = new AbortController();
    const release = interrupts.capture(() => stopped.abort());
    try {
      const { prompt, asked, forgotten } = conversation.ask(question);
      if (forgotten > 0)
        terminal.err(`The context is full: the first ${forgotten} messages are forgotten.\n`);
      const result = await continueText(
        this.speaker,
        prompt,
        { ...options, seed: this.seed++, maxTokens: this.limit(prompt.length) },
        { signal: AbortSignal.any([signal, stopped.signal]) },
        options.json ? undefined : terminal.out,
      );
      conversation.answer(asked, result.text);
      if (options.json) printJson(this.context, { role: 'assistant', content: result.text });
      else terminal.out('\n');
      terminal.err(`${stopped.signal.aborted ? 'Stopped after ' : ''}${describeSpeed(result)}\n`);
    } catch (error) {
      if (!(error instanceof CommandError || error instanceof ChatTemplateError)) throw error;
      terminal.err(`error: ${error.message} Or forget the conversation with /reset.\n`);
    } finally {
      release();
    }
  }

  private limit(promptTokens: number): number | undefined {
    const { maxTokens } = this.options;
    return maxTokens && Math.min(maxTokens, this.speaker.model.contextLength - promptTokens);
  }
}
