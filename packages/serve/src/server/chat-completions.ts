import type { Endpoint } from './generation-route.js';
import { templateMessage, templateTools } from './messages.js';
import { repeated, samplingOf } from './parameters.js';
import { type ChatCompletionBody, chatCompletionBody } from './schemas.js';
import { textWriter } from './text-writer.js';
import { callFormat, shownTools } from './tools/shown-tools.js';
import { ToolWriter } from './tools/tool-writer.js';

export const chatCompletions: Endpoint<ChatCompletionBody> = {
  path: '/v1/chat/completions',
  schema: chatCompletionBody,
  idPrefix: 'chatcmpl',
  object: 'chat.completion',
  chunkObject: 'chat.completion.chunk',

  // What is asked now decides, not how the conversation got there.
  routingText: ({ messages }) => {
    const { content } = messages.findLast(({ role }) => role === 'user') ?? messages[messages.length - 1];
    if (typeof content === 'string') return content;
    return (content ?? []).map(({ text }) => text).join('\n');
  },
  choices: (body, card) => {
    const shown = shownTools(body, card);
    return repeated(body, {
      ...samplingOf(body),
      prompt: { messages: body.messages.map(templateMessage), tools: templateTools(shown?.tools) },
      ...(shown && { format: callFormat(shown) }),
      maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
      logprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
    });
  },
  writer: (body, card) => {
    const shown = shownTools(body, card);
    return shown ? new ToolWriter(shown) : textWriter;
  },
};
