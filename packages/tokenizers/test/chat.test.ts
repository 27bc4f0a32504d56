import { describe, expect, it } from 'vitest';
import {
  type ApplyOptions,
  type ChatMessage,
  ChatTemplateError,
  chatTemplate,
  createTokenizer,
  trainByteLevelBpe,
} from '../src/index.js';
import { fixture, fixtureText } from './support.js';

interface Conversation extends ApplyOptions {
  readonly messages: ChatMessage[];
}

const chat = fixture<{
  templates: Record<string, string>;
  conversations: Conversation[];
  results: Record<string, ({ text: string } | { error: string })[]>;
}>('chat.json');

const withConfig = (tokenizerConfig: object = {}, more: object = {}) =>
  createTokenizer({
    tokenizerJson: fixtureText('gpt2.tokenizer.json'),
    tokenizerConfig: { bos_token: '<|endoftext|>', eos_token: '<|im_start|>', ...tokenizerConfig },
    ...more,
  });
const hello: ChatMessage[] = [{ role: 'user', content: 'Hi' }];

describe('chatTemplate', () => {
  it.each(Object.keys(chat.templates))('renders as transformers: %s', (name) => {
    const template = chatTemplate(withConfig(), { source: chat.templates[name] });
    chat.conversations.forEach(({ messages, ...options }, i) => {
      const expected = chat.results[name][i];
      if ('text' in expected) expect(template.apply(messages, options)).toBe(expected.text);
      else expect(() => template.apply(messages, options)).toThrow(expected.error);
    });
  });

  it('finds templates in every place and form', () => {
    const text = (config: object, more?: object, name?: string) =>
      chatTemplate(withConfig(config, more), { name }).apply(hello);
    expect(text({ chat_template: 'A' })).toBe('A');
    expect(text({ chat_template: 'A' }, { chatTemplate: 'B' })).toBe('B');
    const list = [
      { name: 'default', template: 'C' },
      { name: 'tool_use', template: 'D' },
    ];
    expect(text({ chat_template: list })).toBe('C');
    expect(text({ chat_template: list }, {}, 'tool_use')).toBe('D');
    expect(chatTemplate(withConfig({ chat_template: list })).apply(hello, { tools: [{}] })).toBe('D');
    expect(() => text({ chat_template: 'A' }, {}, 'rag')).toThrow(
      'there is no such template: expected default',
    );
    expect(withConfig({ chat_template: list }).files()['tokenizer_config.json']).toContain('"tool_use"');
  });

  it('encodes the prompt with its special tokens and adds none', () => {
    const tokenizer = withConfig({
      chat_template: '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}',
    });
    const ids = [...chatTemplate(tokenizer).encode(hello)];
    expect(ids.slice(0, 1)).toEqual([0]);
    expect(ids.at(-1)).toBe(1);
    expect(tokenizer.decode(ids)).toBe('<|endoftext|>Hi<|im_start|>');
  });

  it('stands in for a missing template', () => {
    const plain = chatTemplate(withConfig());
    expect(plain.isDefault).toBe(true);
    expect(plain.apply([...hello, { role: 'user', content: 'there' }])).toBe('<|endoftext|>Hi\nthere');
    const chatml = chatTemplate(withConfig({ additional_special_tokens: ['<|im_end|>'] }));
    expect(chatml.apply(hello, { addGenerationPrompt: true })).toBe(
      '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
    expect(chatTemplate(withConfig({ chat_template: '' })).isDefault).toBe(false);
  });

  it('of a trained tokenizer takes plain documents, or what it was given', () => {
    const tokenizer = trainByteLevelBpe([], { vocabularySize: 257 });
    expect([...chatTemplate(tokenizer).encode(hello)]).toEqual([...tokenizer.encode('Hi')]);
    const given = trainByteLevelBpe([], { vocabularySize: 257, chatTemplate: 'T' });
    expect(chatTemplate(given).apply(hello)).toBe('T');
  });

  it('lets the model go on with the last message', () => {
    const template = chatTemplate(withConfig(), { source: chat.templates.chatml });
    const messages = [...hello, { role: 'assistant', content: 'Well, hi \n' }];
    const text = template.apply(messages, { continueFinalMessage: true });
    expect(text).toBe('<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nWell, hi');
    const refused = () => template.apply([{ role: 'user', content: null }], { continueFinalMessage: true });
    expect(refused).toThrow('the last message cannot be continued: got no text');
  });

  it('says what went wrong', () => {
    expect(() => chatTemplate(withConfig(), { source: '{% if x' })).toThrow(ChatTemplateError);
    const strict = chatTemplate(withConfig(), { source: chat.templates.strict });
    expect(() => strict.apply([{ role: 'assistant', content: 'a' }])).toThrow(
      '[chat template default] the template refused the messages: got Conversation roles must alternate. Check the roles',
    );
    const broken = chatTemplate(withConfig(), { source: "{{ messages[0].content.strip('x').nothing() }}" });
    expect(() => broken.apply(hello)).toThrow(ChatTemplateError);
    expect(() => strict.apply([])).toThrow('there is no message');
  });
});
