import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CompiledFormats, GrammarError, type OutputFormat } from '../src/grammar/index.js';
import { createEngine, type GenerationRequest } from '../src/index.js';
import { run } from './support/collect.js';
import { drawer } from './support/random.js';
import { randomSchema } from './support/random-schema.js';
import { byteTokenizer, tinyModel } from './support/tiny.js';
import { writeText } from './support/write.js';

const texts = ['{"name": "value", "age": 12, "list": [1, 2, 3], "on": true}', 'a "brown" fox', '{"a":null}'];
const tokenizers: readonly [string, Tokenizer][] = [
  ['single bytes', byteTokenizer()],
  ['pairs of bytes', trainByteLevelBpe(texts, { vocabularySize: 330 })],
];
const bytes = tokenizers[0][1];

function compiledFor(tokenizer: Tokenizer): CompiledFormats {
  return new CompiledFormats(tokenizer, new Set(tokenizer.eosIds));
}

const ajv = new Ajv2020({ strict: false });
formats.default(ajv);

/** By another implementation of JSON schema. */
function expectValid(schema: object, text: string): void {
  const isValid = ajv.validate(schema, JSON.parse(text)); // compiles a schema once
  expect(isValid, `${text} of ${JSON.stringify(schema)}: ${ajv.errorsText()}`).toBe(true);
}

/** The fewest tokens that the format is said to need; 0 if any number will do. */
function neededTokens(compiled: CompiledFormats, format: OutputFormat): number {
  try {
    compiled.constraint(format, 1);
    return 0;
  } catch (error) {
    const needed = /expected at least (\d+)/.exec(String(error));
    if (needed) return Number(needed[1]);
    throw error;
  }
}

describe('documents', () => {
  it.each(tokenizers)('of 200 random schemas are valid, also at the limit: %s', (_, tokenizer) => {
    const compiled = compiledFor(tokenizer);
    for (let seed = 0; seed < 200; seed++) {
      const draw = drawer(seed * 7919 + 1);
      const schema = randomSchema(draw);
      const format = { type: 'json-schema', schema } as const;
      const least = Math.max(1, neededTokens(compiled, format));
      for (const maxTokens of [least, least + 7, least + 60])
        expectValid(schema, writeText(tokenizer, compiled, format, maxTokens, draw));
    }
  });

  it('of a schema are all reachable', () => {
    const schema = {
      type: 'object',
      properties: { a: { enum: ['x', 1] }, b: { type: 'boolean' } },
      required: ['a'],
    };
    const compiled = compiledFor(bytes);
    const draw = drawer(3);
    const seen = new Set<string>();
    for (let i = 0; i < 400; i++) {
      const text = writeText(bytes, compiled, { type: 'json-schema', schema }, 60, draw);
      seen.add(JSON.stringify(JSON.parse(text)));
    }
    expect([...seen].sort()).toEqual([
      ...['{"a":"x","b":false}', '{"a":"x","b":true}', '{"a":"x"}'],
      ...['{"a":1,"b":false}', '{"a":1,"b":true}', '{"a":1}'],
    ]);
  });

  it('are objects when only JSON is asked for', () => {
    const compiled = compiledFor(bytes);
    const draw = drawer(4);
    for (let i = 0; i < 50; i++) {
      const value = JSON.parse(writeText(bytes, compiled, { type: 'json-object' }, 80, draw));
      expect(Object.prototype.toString.call(value)).toBe('[object Object]');
    }
  });
});

describe('texts', () => {
  const patterns = [
    '[a-f]{3}-\\d+',
    '(yes|no|maybe)[.!]?',
    '[^"\\s]{1,8}',
    '三+[國国]\\x41',
    'a*b*|c{2,4}d',
    '\\w+@\\w+\\.(com|org)',
  ];

  it.each(patterns)('match %s', (pattern) => {
    const compiled = compiledFor(bytes);
    const draw = drawer(5);
    const whole = new RegExp(`^(?:${pattern})$`, 'u');
    for (let i = 0; i < 40; i++)
      expect(writeText(bytes, compiled, { type: 'regex', pattern }, 24, draw)).toMatch(whole);
  });

  it('follow a grammar', () => {
    const grammar = `
      # sums of products, in parentheses or not
      root    ::= product ("+" product)*
      product ::= factor ("*" factor)*
      factor  ::= [0-9]{1,2} |
                  "(" root ")"`;
    const compiled = compiledFor(bytes);
    const draw = drawer(6);
    for (let i = 0; i < 60; i++) {
      const text = writeText(bytes, compiled, { type: 'grammar', grammar }, 50, draw);
      expect(text).toMatch(/^[0-9+*()]+$/);
      expect(Number.isFinite(new Function(`return ${text.replace(/\b0+(?=\d)/g, '')}`)())).toBe(true);
    }
  });
});

describe('refusals name what is wrong', () => {
  const deep = (levels: number): object => (levels === 0 ? {} : { type: 'array', items: deep(levels - 1) });
  const refused: readonly [string, OutputFormat, string][] = [
    ...[
      'not',
      'if',
      'minProperties',
      'patternProperties',
      'contains',
      'uniqueItems',
      'propertyNames',
      'typo',
    ].map((name): [string, OutputFormat, string] => [
      name,
      { type: 'json-schema', schema: { type: 'object', properties: { a: { type: 'array', [name]: true } } } },
      name,
    ]),
    ['a format', { type: 'json-schema', schema: { type: 'string', format: 'iri' } }, 'iri'],
    ['a bad type', { type: 'json-schema', schema: { type: 'text' } }, '#/type'],
    [
      'overlapping oneOf',
      { type: 'json-schema', schema: { oneOf: [{ type: 'number' }, { type: 'integer' }] } },
      'oneOf',
    ],
    ['a reference elsewhere', { type: 'json-schema', schema: { $ref: 'other.json' } }, 'other.json'],
    ['a missing reference', { type: 'json-schema', schema: { $ref: '#/$defs/a' } }, '#/$defs/a'],
    [
      'contradictions',
      { type: 'json-schema', schema: { type: 'string', minLength: 3, maxLength: 2 } },
      'no text',
    ],
    ['a circle', { type: 'json-schema', schema: { $ref: '#' } }, 'begins with itself'],
    [
      'what never ends',
      { type: 'json-schema', schema: { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] } },
      'no text',
    ],
    [
      'items of allOf beside its first items',
      {
        type: 'json-schema',
        schema: {
          allOf: [{ type: 'array', prefixItems: [{ type: 'string' }] }, { items: { type: 'integer' } }],
        },
      },
      'prefixItems',
    ],
    ['depth', { type: 'json-schema', schema: deep(500) }, 'too large'],
    [
      'many schemas of which one holds',
      {
        type: 'json-schema',
        schema: { oneOf: Array.from({ length: 4000 }, (_, value) => ({ const: value })) },
      },
      'too large',
    ],
    [
      'a huge enum',
      { type: 'json-schema', schema: { enum: Array.from({ length: 20_000 }, (_, i) => i) } },
      'too large',
    ],
    ['a long string', { type: 'json-schema', schema: { type: 'string', minLength: 1e9 } }, 'too large'],
    ['a huge text', { type: 'regex', pattern: 'a'.repeat(300_000) }, 'too long'],
    ['nested repeats', { type: 'regex', pattern: '(((a{1000}){1000}){1000}){1000}' }, 'too long'],
    [
      'deep groups',
      { type: 'regex', pattern: `${'('.repeat(2000)}a${')'.repeat(2000)}` },
      'nested too deeply',
    ],
    [
      'a catastrophic pattern beside a length',
      { type: 'json-schema', schema: { type: 'string', pattern: '^(a|b)*a(a|b){40}$', maxLength: 900 } },
      'too large',
    ],
    ['look-around', { type: 'regex', pattern: '(?=a)b' }, 'look-around'],
    ['back references', { type: 'regex', pattern: '(a)\\1' }, 'back references'],
    ['an open class', { type: 'regex', pattern: '[a' }, 'does not end'],
    ['left recursion', { type: 'grammar', grammar: 'root ::= root "a" | "b"' }, 'begins with itself'],
    ['a missing rule', { type: 'grammar', grammar: 'root ::= item' }, 'no rule item'],
    ['a rule that stands twice', { type: 'grammar', grammar: 'root ::= "a"\nroot ::= "b"' }, 'stands twice'],
  ];

  it.each(refused)('%s', (_, format, message) => {
    const compiled = compiledFor(bytes);
    expect(() => compiled.constraint(format, 1000)).toThrow(GrammarError);
    expect(() => compiled.constraint(format, 1000)).toThrow(message);
  });

  it('catastrophic patterns alone are harmless', () => {
    const format = { type: 'regex', pattern: '(x+x+)+y' } as const;
    expect(writeText(bytes, compiledFor(bytes), format, 40, drawer(7))).toMatch(/^x{2,}y$/);
  });
});

describe('in the engine', () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string', maxLength: 12 },
      tags: { type: 'array', items: { type: 'integer' } },
    },
    required: ['name', 'tags'],
  };
  const format = { type: 'json-schema', schema } as const;
  const start = () => {
    const engine = createEngine([tinyModel()]);
    onTestFinished(() => engine.close());
    return engine;
  };

  it('answers are valid, whatever the sampling, and the same alone and together', async () => {
    const engine = start();
    const requests: Partial<GenerationRequest>[] = [
      { format, maxTokens: 24, temperature: 0 },
      { format, maxTokens: 60, seed: 1, temperature: 3 },
      { format, maxTokens: 90, seed: 2, repetitionPenalty: 1.5 },
      { format: { type: 'regex', pattern: '[a-z]{4}' }, maxTokens: 4, seed: 3 },
      { maxTokens: 20, seed: 4 },
    ];
    const alone = [];
    for (const request of requests) alone.push(await run(engine, request));
    const together = await Promise.all(requests.map((request) => run(engine, request)));
    expect(together.map(({ text }) => text)).toEqual(alone.map(({ text }) => text));
    for (const { text, reason } of alone.slice(0, 3)) {
      expectValid(schema, text);
      expect(reason).toBe('stop');
    }
    expect(alone[3]).toMatchObject({ text: expect.stringMatching(/^[a-z]{4}$/), reason: 'stop' });
  });

  it('a budget below the shortest document is refused, one token more is enough', async () => {
    const engine = start();
    const shortest = '{"name":"","tags":[]}'.length;
    await expect(run(engine, { format, maxTokens: shortest - 1 })).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(`at least ${shortest}`),
    });
    expectValid(schema, (await run(engine, { format, maxTokens: shortest, seed: 1 })).text);
  });

  it('a format that turns out too ambiguous while writing ends its own request alone', async () => {
    const engine = start();
    const hard: OutputFormat = { type: 'regex', pattern: 'x(a?){15000}' };
    const [failed, other] = await Promise.allSettled([
      run(engine, { format: hard, maxTokens: 20, seed: 1 }),
      run(engine, { maxTokens: 20, seed: 4 }),
    ]);
    expect(failed).toMatchObject({
      status: 'rejected',
      reason: { cause: { what: expect.stringContaining('too many ways') } },
    });
    expect(other.status).toBe('fulfilled');
  });
});
