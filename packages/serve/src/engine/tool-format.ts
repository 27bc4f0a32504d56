import type { ChatTemplate } from '@frugal/tokenizers';
import type { ToolFormat } from '../grammar/index.js';

const signs: readonly (readonly [sign: string | RegExp, format: ToolFormat])[] = [
  ['<tool_call>', 'hermes'],
  ['[TOOL_CALLS]', 'mistral'],
  [/\{\s*"name":[^}]*"parameters":/, 'llama3'],
];

const probe = {
  name: 'frugal_probe',
  description: 'A function.',
  parameters: {
    type: 'object',
    properties: { a: { type: 'string', description: 'A text.' } },
    required: ['a'],
  },
};

/** What the template shows the model when there are functions, and how it writes that one was called. Null: neither. */
export function toolFormatOf(template: ChatTemplate): ToolFormat | null {
  const tools = [{ type: 'function', function: probe }];
  const question = { role: 'user', content: 'x' };
  const call = { id: '123456789', type: 'function', function: { name: probe.name, arguments: { a: 'b' } } };
  const asked = applied(template, [question], tools);
  if (!asked?.includes(probe.name)) return null;
  const called = applied(template, [question, { role: 'assistant', content: '', tool_calls: [call] }], tools);
  const text = `${called ?? ''}\n${asked}`;
  return (
    signs.find(([sign]) => (typeof sign === 'string' ? text.includes(sign) : sign.test(text)))?.[1] ?? null
  );
}

function applied(template: ChatTemplate, messages: object[], tools: object[]): string | null {
  try {
    return template.apply(messages as Parameters<ChatTemplate['apply']>[0], { tools });
  } catch {
    return null;
  }
}
