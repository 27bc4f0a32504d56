import { describe, expect, it } from 'vitest';
import { CheckpointFormatError, CheckpointWriteError } from '../errors.js';
import { formatConfig } from './config-json.js';
import { formatJson, parseJson, parseJsonObject } from './json.js';

function problem(text: string | Uint8Array): CheckpointFormatError {
  try {
    parseJson(text, 'config.json');
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointFormatError);
    return error as CheckpointFormatError;
  }
  throw new Error(`accepted ${text}`);
}

describe('parseJson', () => {
  it('agrees with JSON.parse', () => {
    for (const text of [
      '{"a":[1,-2.5e3,true,false,null,"x\\u00e9\\n\\"\\\\"],"b":{},"c":[],"":0}',
      ' [ 1 , 2 ]\n',
      '"\\\\"',
      '-0.0',
      '1e400',
      '"汉字 😀"',
    ]) {
      expect(parseJson(text, 'f')).toEqual(JSON.parse(text));
    }
  });

  it('reads what Python writes', () => {
    expect(parseJson('{"limit": [0.0, Infinity], "x": -Infinity, "y": NaN}', 'f')).toEqual({
      limit: [0, Number.POSITIVE_INFINITY],
      x: Number.NEGATIVE_INFINITY,
      y: Number.NaN,
    });
  });

  it('refuses malformed text at its position', () => {
    expect(problem('{"a":1,}')).toMatchObject({ offset: 7, what: 'malformed JSON' });
    expect(problem('[1 2]')).toMatchObject({ offset: 3 });
    expect(problem('{"a":1} x')).toMatchObject({ offset: 8, what: 'text after the end of the JSON' });
    for (const text of [
      '',
      '{',
      '[',
      '"abc',
      '"\\"',
      '01',
      '+1',
      '1.',
      'tru',
      "{'a':1}",
      '"\u0001"',
      '{"a"}',
      '"\\x"',
    ]) {
      problem(text);
    }
  });

  it('counts positions in bytes', () => {
    expect(problem('{"汉字":x}').offset).toBe(10);
  });

  it('refuses repeated keys, broken Unicode and deep nesting', () => {
    expect(problem('{"a":1,"\\u0061":2}')).toMatchObject({ offset: 7, what: 'a key appears twice' });
    expect(problem('"\\ud800"').what).toBe('a string is not valid Unicode');
    expect(problem(Uint8Array.of(0x22, 0xff, 0x22)).what).toBe('text is not valid UTF-8');
    expect(problem('['.repeat(1_000_000)).what).toBe('JSON is nested too deeply');
    expect(problem(`${'{"a":'.repeat(1_000_000)}`).what).toBe('JSON is nested too deeply');
  });

  it('treats __proto__ as any other key', () => {
    const object = parseJsonObject('{"__proto__":{"polluted":1}}', 'f');
    expect(Object.keys(object)).toEqual(['__proto__']);
    expect((object as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('wants an object where one is needed', () => {
    expect(() => parseJsonObject('[1]', 'config.json')).toThrow(
      /\[config.json @ byte 0\] not a JSON object: got \[1\]/,
    );
  });
});

describe('formatJson', () => {
  it('is what JSON.stringify writes, with a final newline', () => {
    const value = { a: [1, { b: 'x"' }], c: [], d: {}, e: undefined, f: null, g: 1e-5 };
    expect(formatJson(value)).toBe(`${JSON.stringify(value, undefined, 2)}\n`);
  });

  it('keeps infinities', () => {
    const text = formatJson({ limit: [0, Number.POSITIVE_INFINITY, Number.NaN] });
    expect(parseJson(text, 'f')).toEqual({ limit: [0, Number.POSITIVE_INFINITY, Number.NaN] });
  });

  it('writes whole numbers as floats where a config wants floats', () => {
    const config = {
      ...{ hidden_size: 8, final_logit_softcapping: 30, router_jitter_noise: 0, attention_dropout: -0 },
      ...{ rms_norm_eps: 1e-5, attn_logit_softcapping: null, rope_parameters: { a: { rope_theta: 1e21 } } },
      rope_theta: 10000,
    };
    const text = formatConfig(config);
    expect(text).toContain('"hidden_size": 8,');
    expect(text).toContain('"final_logit_softcapping": 30.0,');
    expect(text).toContain('"router_jitter_noise": 0.0,');
    expect(text).toContain('"attention_dropout": 0.0,');
    expect(text).toContain('"attn_logit_softcapping": null,');
    expect(text).toContain('"rope_theta": 1e+21');
    expect(parseJson(text, 'f')).toEqual({ ...config, attention_dropout: 0 });
  });

  it('refuses what JSON cannot say', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (const value of [cycle, 1n, () => 1, Symbol('x'), [undefined]]) {
      expect(() => formatJson(value)).toThrow(CheckpointWriteError);
    }
  });
});
