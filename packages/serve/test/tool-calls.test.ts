import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { CompiledFormats, type ToolCallsFormat } from '../src/grammar/index.js';
import { BareParser } from '../src/server/tools/bare.js';
import { toolCallParser } from '../src/server/tools/tool-call-parser.js';
import { drawer } from './support/random.js';
import { byteTokenizer } from './support/tiny.js';
import { writeText } from './support/write.js';

/** As pydantic writes them: with definitions of their own, under names that are the same. */
const city = {
  $defs: { Place: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } },
  type: 'object',
  properties: { place: { $ref: '#/$defs/Place' } },
  required: ['place'],
  additionalProperties: false,
};
const sum = {
  $defs: { Place: { type: 'integer', minimum: 3, maximum: 40 } },
  type: 'object',
  properties: {
    a: { $ref: '#/$defs/Place' },
    note: { type: 'string', enum: ['</tool_call>', '[TOOL_CALLS]'] },
  },
  required: ['a'],
  additionalProperties: false,
};
const schemas: Readonly<Record<string, object>> = { weather: city, add: sum };
const functions = Object.entries(schemas).map(([name, parameters]) => ({ name, parameters }));
const names = new Set(Object.keys(schemas));
const ajv = new Ajv2020();

/** What is written now and then, so that there are calls at all. */
const styles = {
  hermes: [
    '<tool_call>\n{"name": "add", "arguments": {"a": 3, "note": "</tool_call>"}}</tool_call>',
    '<tool_call>{"name": "weather", "arguments": {"place": {"name": "</tool_call>',
  ],
  llama3: [
    '<|python_tag|>{"name": "weather", "parameters": {"place": {"name": "};\\n{"}}};',
    '{"name": "add", "parameters": {"a": 4}};{"name": "add"',
  ],
  mistral: [
    '[TOOL_CALLS]add{"a": 3, "note": "[TOOL_CALLS]"}[TOOL_CALLS]weather',
    '[TOOL_CALLS] [{"name": "weather", "arguments": {"place": {"name": "[TOOL_CALLS]"}}}, {"name": "add"',
  ],
  forced: ['{"name": "add", "arguments": {"a": 12', '{"name": "weather", "arguments"'],
};
const looks = {
  hermes: /<tool_call>/,
  llama3: /^\s*([[{]|<\|python_tag)/,
  mistral: /\[TOOL_CALLS\]/,
  forced: /./s,
};
const marks = ['<tool_call>', '</tool_call>', '[TOOL_CALLS]', '[ARGS]', '<|python_tag|>'];
const tokenizers = {
  'marks of letters': byteTokenizer(),
  'marks that are special tokens': byteTokenizer({ marks }),
};
const cases = Object.entries(tokenizers).flatMap(([kind, tokenizer]) =>
  Object.entries(styles).flatMap(([style, often]) =>
    [true, false].map((single) => ({ kind, tokenizer, style: style as keyof typeof styles, often, single })),
  ),
);

describe.each(cases)('$style, $kind, one alone: $single', ({ tokenizer, style, often, single }) => {
  const format: ToolCallsFormat = { type: 'tool-calls', style, functions, single };
  const formats = new CompiledFormats(tokenizer, new Set(tokenizer.eosIds));

  it('calls are valid for their schemas, also at the limit, and no more than are wanted', () => {
    const counts = { texts: 0, calls: 0, most: 0, bothNames: new Set<string>() };
    for (let seed = 0; seed < 150; seed++) {
      const draw = drawer(seed * 7919 + 1);
      const start = Array.from(tokenizer.encode(often[seed % 2], { addSpecialTokens: false }));
      const text = writeText(tokenizer, formats, format, 60 + 2 * seed, draw, start);
      const parser = style === 'forced' ? new BareParser(names, 'arguments') : toolCallParser(style, names);
      const pieces = [...Array.from(text).flatMap((each) => parser.push(each)), ...parser.end()];
      const calls = pieces.flatMap((piece) => ('call' in piece ? [piece.call] : []));
      for (const { name, arguments: json } of calls) {
        counts.bothNames.add(name);
        expect(ajv.validate(schemas[name], JSON.parse(json)), `${text}: ${json}`).toBe(true);
      }
      const rest = pieces.map((piece) => ('text' in piece ? piece.text : '')).join('');
      // Whatever looks like a call is one.
      expect(rest, text).not.toMatch(looks[style]);
      if (single || style === 'forced') expect(calls.length).toBeLessThanOrEqual(1);
      if (style === 'forced') expect(calls).toHaveLength(1);
      counts.texts += rest === '' ? 0 : 1;
      counts.calls += calls.length;
      counts.most = Math.max(counts.most, calls.length);
    }
    expect(counts.calls).toBeGreaterThan(5);
    expect([...counts.bothNames].sort()).toEqual(['add', 'weather']);
    if (style !== 'forced') expect(counts.texts).toBeGreaterThan(5);
    if (style !== 'forced' && !single) expect(counts.most).toBeGreaterThan(1);
  });
});

it('a schema that cannot be followed is refused with the name of its function', () => {
  const formats = new CompiledFormats(byteTokenizer(), new Set([257]));
  const parameters = { type: 'object', properties: { a: { $ref: '#/$defs/b' } }, $defs: { b: { not: {} } } };
  const format: ToolCallsFormat = {
    type: 'tool-calls',
    style: 'hermes',
    functions: [...functions, { name: 'odd', parameters }],
    single: false,
  };
  expect(() => formats.constraint(format, 50)).toThrow(
    /keyword not is not supported.*function odd: #\/\$defs\/b\/not/s,
  );
});
