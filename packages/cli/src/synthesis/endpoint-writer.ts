import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import type { Context } from '../context.js';
import { CommandError } from '../errors.js';
import type { Message, Sampling, Writer } from './writer.js';

export interface Endpoint {
  /** Up to and with `/v1`. */
  readonly url: string;
  readonly model: string;
  readonly apiKey?: string | undefined;
}

/** Attempts for each question when the endpoint is busy or gone. */
const ATTEMPTS = 4;

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullable() }) })).min(1),
});

/** A model behind `/chat/completions` of OpenAI's API. */
export function endpointWriter(
  endpoint: Endpoint,
  sampling: Sampling,
  { signal }: Pick<Context, 'signal'>,
): Writer {
  return {
    answer: (messages) => Promise.all(messages.map((message) => ask(message, endpoint, sampling, signal))),
    close: () => {},
  };
}

async function ask(
  { content, seed }: Message,
  { url, model, apiKey }: Endpoint,
  { maxTokens, temperature, topP }: Sampling,
  signal: AbortSignal,
): Promise<string> {
  const messages = [{ role: 'user', content }];
  const body = { model, messages, max_tokens: maxTokens, temperature, top_p: topP, seed };
  for (let attempt = 1; ; attempt++) {
    const outcome = await fetch(`${url.replace(/\/$/, '')}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(apiKey && { authorization: `Bearer ${apiKey}` }) },
      body: JSON.stringify(body),
      signal,
    }).catch((cause: Error) => cause);
    signal.throwIfAborted();
    if (outcome instanceof Response && outcome.ok) return parse(await outcome.text(), url);
    const isPassing = !(outcome instanceof Response) || outcome.status === 429 || outcome.status >= 500;
    if (!isPassing || attempt >= ATTEMPTS) throw await failure(url, outcome);
    await setTimeout(250 * 2 ** attempt, undefined, { signal });
  }
}

function parse(text: string, url: string): string {
  try {
    return answerSchema.parse(JSON.parse(text)).choices[0].message.content ?? '';
  } catch (cause) {
    throw new CommandError({
      where: url,
      what: 'the answer is not that of a chat endpoint',
      got: text.slice(0, 200),
      expected: 'choices[0].message.content',
      cause,
    });
  }
}

async function failure(url: string, outcome: Response | Error): Promise<CommandError> {
  const isError = outcome instanceof Error;
  return new CommandError({
    where: url,
    what: isError ? 'the endpoint cannot be reached' : 'the endpoint refuses',
    got: isError ? outcome.message : `${outcome.status} ${(await outcome.text()).slice(0, 200)}`,
    hint: 'Go on with --resume when it works again.',
    ...(isError && { cause: outcome }),
  });
}
