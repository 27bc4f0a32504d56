import { createInterface } from 'node:readline/promises';
import { type ChatMessage, chatTemplate } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import { addGenerationOptions, continueText, describeSpeed, type GenerationOptions } from '../generation.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { addVerb, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, GenerationOptions, JsonOption {
  readonly system?: string;
}

const PROMPT = '> ';

export const chatVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'chat',
    summary: 'talk with a model in its chat template',
    notes:
      '/reset forgets the conversation, /exit or Ctrl-D ends it. Input may be piped: one message per line.\n--json prints one message per line.',
    examples: [
      'frugal chat runs/assistant',
      'frugal chat runs/assistant --system "Answer in Chinese." --temperature 0',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .option('--system <TEXT>', 'what stands before the conversation');
  addBackendOptions(addGenerationOptions(command, { temperature: 0.7 })).action(
    async (source: string, options: Options) => {
      const { terminal } = context;
      const path = await modelPath(source, context);
      const tokenizer = await openTokenizer(path);
      const template = chatTemplate(tokenizer);
      if (template.isDefault)
        terminal.err(
          'The model has no chat template: it was not trained to answer. A plain one stands in.\n',
        );
      useBackend(options, context);
      const model = await openModel(path, context);
      let seed = options.seed ?? 0;
      const answer = async (messages: readonly ChatMessage[]): Promise<string> => {
        const prompt = template.encode(messages, { addGenerationPrompt: true });
        const show = options.json ? undefined : terminal.out;
        // Each answer has a stream of its own: the same seed would repeat the same draws.
        const result = await continueText(
          { model, tokenizer },
          prompt,
          { ...options, seed: seed++ },
          context,
          show,
        );
        if (options.json) terminal.out(`${JSON.stringify({ role: 'assistant', content: result.text })}\n`);
        else terminal.out('\n');
        terminal.err(`${describeSpeed(result)}\n`);
        return result.text;
      };
      await converse(answer, options.system, context);
    },
  );
};

/** Reads messages until the input ends. What an answer fails at is told, and the conversation goes on. */
async function converse(
  answer: (messages: readonly ChatMessage[]) => Promise<string>,
  system: string | undefined,
  { terminal, signal }: Context,
): Promise<void> {
  const opening: readonly ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  let messages = opening;
  const lines = createInterface({ input: terminal.input, terminal: false });
  const ask = () => terminal.progressStream && terminal.err(PROMPT); // nobody waits for a prompt in a pipe
  const stop = () => lines.close();
  signal.addEventListener('abort', stop);
  try {
    ask();
    for await (const line of lines) {
      const content = line.trim();
      if (content === '/exit') break;
      if (content === '/reset') messages = opening;
      else if (content) messages = await reply(messages, content);
      ask();
    }
  } finally {
    signal.removeEventListener('abort', stop);
    lines.close();
  }
  signal.throwIfAborted();

  async function reply(before: readonly ChatMessage[], content: string): Promise<readonly ChatMessage[]> {
    const asked: readonly ChatMessage[] = [...before, { role: 'user', content }];
    try {
      return [...asked, { role: 'assistant', content: await answer(asked) }];
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      terminal.err(`error: ${error.message} Or forget the conversation with /reset.\n`);
      return before;
    }
  }
}
