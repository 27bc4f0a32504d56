import { describe, expect, it } from 'vitest';
import { drawer } from '../../test/support/random.js';
import { compileSchema } from './json-schema/compile-schema.js';
import { Machine } from './machine.js';
import { buildNetwork } from './network.js';
import { grammarOf, type OutputFormat } from './output-format.js';
import { atOnce } from './pieces.js';

function machineOf(format: OutputFormat): Machine {
  return atOnce(Machine.of(atOnce(buildNetwork(grammarOf(format))), () => true));
}

function accepts(machine: Machine, text: string): boolean {
  return machine.isAccepting(
    Buffer.from(text).reduce((state, byte) => machine.step(state, byte), machine.start),
  );
}

describe('regular expressions agree with those of JavaScript', () => {
  const alphabet = ['a', 'b', '0', '-', ' ', '\n', 'é', '三', '😀', '"', '\\'];
  const patterns = [
    ...[
      'a|b0*',
      '(a|b)*a(a|b){2}',
      '[^a-b]+',
      '\\w?\\W',
      '.{2,3}',
      '\\s|\\d+',
      '(?:ab?)+?-',
      '[é三]+\\u{1F600}?',
    ],
    ...[
      '[\\w-]{1,2}',
      '(a*)*b',
      '()|a',
      '\\x61[\\\\"]',
      '[^]',
      '[]',
      '(?<name>a)\\-',
      'a{2}|b{2,}',
      '\\S\\D',
    ],
  ];

  it.each(patterns)('%s', (pattern) => {
    const machine = machineOf({ type: 'regex', pattern });
    const whole = new RegExp(`^(?:${pattern})$`, /[😀u]\{|p\{/u.test(pattern) ? 'u' : '');
    const draw = drawer(11);
    for (let i = 0; i < 600; i++) {
      const length = Math.floor(draw() * 5);
      const text = Array.from({ length }, () => alphabet[Math.floor(draw() * alphabet.length)]).join('');
      // Without the u flag JavaScript counts 😀 as two.
      if (!whole.unicode && text.includes('😀')) continue;
      expect(accepts(machine, text), JSON.stringify(text)).toBe(whole.test(text));
    }
  });
});

describe('patterns of JSON schema are found anywhere', () => {
  it.each(['b', '^b', 'b$', '^b$', '^a|b$', '"', '\\\\'])('%s', (pattern) => {
    const machine = machineOf({ type: 'json-schema', schema: { type: 'string', pattern } });
    for (const text of ['', 'a', 'b', 'ab', 'ba', 'aba', 'bb', 'a"', '\\', 'a\nb'])
      expect(accepts(machine, JSON.stringify(text)), text).toBe(new RegExp(pattern).test(text));
  });
});

describe('numbers lie within their bounds', () => {
  const draw = drawer(12);
  const bound = () => Math.round((draw() - 0.5) * 2000) / [1, 10, 1000][Math.floor(draw() * 3)];
  const cases = Array.from({ length: 60 }, () => {
    const [low, high] = [bound(), bound()].sort((a, b) => a - b);
    const schema = {
      type: draw() < 0.4 ? 'integer' : 'number',
      [draw() < 0.5 ? 'minimum' : 'exclusiveMinimum']: low,
      ...(draw() < 0.8 && { [draw() < 0.5 ? 'maximum' : 'exclusiveMaximum']: high }),
      ...(draw() < 0.2 && { multipleOf: 1 + Math.floor(draw() * 12) }),
    };
    return { name: JSON.stringify(schema), schema, low, high };
  });

  it.each(cases)('$name', ({ schema, low, high }) => {
    const machine = machineOf({ type: 'json-schema', schema });
    const { minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf, type } = schema as never;
    const isValid = (value: number) =>
      !(value < minimum || value <= exclusiveMinimum || value > maximum || value >= exclusiveMaximum) &&
      (type === 'number' || Number.isInteger(value)) &&
      (multipleOf === undefined || value % multipleOf === 0);
    const values = [low, high, 0, low + 1, high - 1, low - 0.001, high + 0.001, (low + high) / 2];
    for (let i = 0; i < 120; i++) values.push(low + (draw() * 1.4 - 0.2) * (high - low + 1));
    for (const value of values.flatMap((each) => [Math.round(each), Math.round(each * 1e4) / 1e4])) {
      const text = String(Object.is(value, -0) ? 0 : value);
      if (!text.includes('e')) expect(accepts(machine, text), text).toBe(isValid(value));
    }
    for (const text of ['', '-', '.5', '00', '1.', '+1', '- 1']) expect(accepts(machine, text)).toBe(false);
  });
});

describe('Machine', () => {
  it('finds the shortest ending', () => {
    const machine = machineOf({ type: 'regex', pattern: 'abc(d{5}|ef(g|hij))' });
    const after = (text: string) =>
      Buffer.from(text).reduce((s, byte) => machine.step(s, byte), machine.start);
    expect(Buffer.from(machine.shortestEnding(machine.start)).toString()).toBe('abcefg');
    expect(Buffer.from(machine.shortestEnding(after('abcdd'))).toString()).toBe('ddd');
    expect(machine.bytesToEnd(after('abcefh'))).toBe(2);
    expect(machine.isFinal(after('abcefg'))).toBe(true);
  });

  it('does not grow with the length of lists', () => {
    const machine = machineOf({ type: 'json-schema', schema: { type: 'array', items: { type: 'boolean' } } });
    const list = (length: number) => JSON.stringify(new Array(length).fill(true)).slice(0, -1);
    const walk = (text: string) =>
      Buffer.from(text).reduce((s, byte) => machine.step(s, byte), machine.start);
    walk(list(3));
    const { size } = machine;
    walk(list(500));
    expect(machine.size).toBe(size);
  });

  it('ends only where bytes can be written', () => {
    const network = atOnce(buildNetwork(compileSchema({ enum: ['x', 'yy'] })));
    const machine = atOnce(Machine.of(network, (byte) => byte !== 'x'.charCodeAt(0)));
    expect(Buffer.from(machine.shortestEnding(machine.start)).toString()).toBe('"yy"');
  });
});
