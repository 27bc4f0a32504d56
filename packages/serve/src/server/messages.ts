import type { ChatMessage } from '@frugal/tokenizers';
import type { ChatCompletionBody } from './schemas.js';
import type { ShownTools } from './tools/shown-tools.js';

type Message = ChatCompletionBody['messages'][number];

/** A message as templates read it: `system` for its newer name `developer`, one text for its parts. */
export function templateMessage(message: Message): ChatMessage {
  const content = textOf(message.content);
  if (message.role === 'developer') return { role: 'system', content };
  if (message.role === 'tool') return { role: 'tool', content, tool_call_id: message.tool_call_id };
  if (message.role !== 'assistant' || !message.tool_calls) return { role: message.role, content };
  // Templates write arguments as JSON themselves, each in its own way: they want objects.
  const calls = message.tool_calls.map(({ id, function: { name, arguments: json } }) => ({
    id,
    type: 'function',
    function: { name, arguments: JSON.parse(json) as object },
  }));
  return { role: 'assistant', content, tool_calls: calls };
}

/** Functions as templates show them: OpenAI's form, without what only the API knows. */
export function templateTools(tools: ShownTools['tools'] | undefined): readonly object[] | undefined {
  return tools?.map(({ function: { name, description, parameters } }) => ({
    type: 'function',
    function: {
      name,
      description: description ?? '',
      parameters: parameters ?? { type: 'object', properties: {} },
    },
  }));
}

function textOf(content: Message['content']): string {
  if (content == null) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text).join('');
}
