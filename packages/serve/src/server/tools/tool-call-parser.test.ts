import { describe, expect, it } from 'vitest';
import type { ToolFormat } from '../../grammar/index.js';
import type { Piece } from './tool-call.js';
import { toolCallParser } from './tool-call-parser.js';

const names = new Set(['weather', 'add']);
const call = (name: string, given: object) => ({ call: { name, arguments: JSON.stringify(given) } });
const text = (text: string) => ({ text });
const [rome, sum] = [call('weather', { city: 'Rome' }), call('add', { a: 1, b: 2 })];

const cases: readonly (readonly [ToolFormat, string, readonly Piece[]])[] = [
  ['hermes', 'Hello < there', [text('Hello < there')]],
  ['hermes', '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>', [rome]],
  [
    'hermes',
    'Let me see.\n<tool_call>{"name":"weather","arguments":{"city":"Rome"}}</tool_call>\n<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>',
    [text('Let me see.\n'), rome, sum],
  ],
  ['hermes', '<tool_call>{"name":"weather","arguments":{"city":"Rome"}}', [rome]],
  ['hermes', '<tool_call>{"name":"weather","arguments":"{\\"city\\":\\"Rome\\"}"}</tool_call>', [rome]],
  ['hermes', '<tool_call>{"name":"other"}</tool_call>', [text('<tool_call>{"name":"other"}</tool_call>')]],
  ['hermes', '<tool_call>{"name":', [text('<tool_call>{"name":')]],
  ['hermes', 'a <tool', [text('a <tool')]],
  ['llama3', '{"name": "weather", "parameters": {"city": "Rome"}}', [rome]],
  ['llama3', '<|python_tag|>{"name": "weather", "parameters": {"city": "Rome"}}<|eom_id|>', [rome]],
  [
    'llama3',
    '{"name": "weather", "parameters": {"city": "Rome"}}; {"name": "add", "parameters": {"a": 1, "b": 2}}',
    [rome, sum],
  ],
  ['llama3', 'It is {"name": "weather"}', [text('It is {"name": "weather"}')]],
  ['llama3', '{"city": "Rome"}', [text('{"city": "Rome"}')]],
  ['llama3', '<| no tag', [text('<| no tag')]],
  ['mistral', '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Rome"}}]', [rome]],
  [
    'mistral',
    'Sure.[TOOL_CALLS][{"name":"weather","arguments":{"city":"Rome"},"id":"abc"},{"name":"add","arguments":{"a":1,"b":2}}]',
    [text('Sure.'), rome, sum],
  ],
  ['mistral', '[TOOL_CALLS]weather[ARGS]{"city": "Rome"}[TOOL_CALLS]add{"a": 1, "b": 2}', [rome, sum]],
  ['mistral', '[TOOL_CALLS]weather[CALL_ID]123456789[ARGS]{"city": "Rome"}', [rome]],
  ['mistral', 'A list: [TOOL', [text('A list: [TOOL')]],
  ['mistral', '[TOOL_CALLS]nonsense', [text('[TOOL_CALLS]nonsense')]],
];

/** Texts that follow one another are one. */
function joined(pieces: readonly Piece[]): Piece[] {
  const all: Piece[] = [];
  for (const piece of pieces) {
    const last = all.at(-1);
    if ('text' in piece && last && 'text' in last) all[all.length - 1] = text(last.text + piece.text);
    else all.push(piece);
  }
  return all;
}

describe.each(cases)('%s: %s', (format, answer, expected) => {
  it.each([1, 3, 7, 1000])('in pieces of %d', (size) => {
    const parser = toolCallParser(format, names);
    const pieces: Piece[] = [];
    for (let i = 0; i < answer.length; i += size) pieces.push(...parser.push(answer.slice(i, i + size)));
    expect(joined([...pieces, ...parser.end()])).toEqual(expected);
  });
});

it('gives text out as soon as it is certain', () => {
  const parser = toolCallParser('hermes', names);
  expect(parser.push('Hello <')).toEqual([text('Hello ')]);
  expect(parser.push('b')).toEqual([text('<b')]);
});
