import { readFileSync } from 'node:fs';
import { tensor } from '@frugal/tensor-core';
import { chooseRows, FEW, Sampler, type TokenConstraint } from '@frugal/tensor-core/generation';
import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import { CompiledFormats, type OutputFormat } from '../src/grammar/index.js';
import { drawer } from './support/random.js';
import { byteTokenizer } from './support/tiny.js';

const prose = readFileSync(new URL('../../../docs/log.md', import.meta.url), 'utf8');
const tokenizers: readonly [string, Tokenizer][] = [
  ['single bytes', byteTokenizer()],
  ['1,200 tokens', trainByteLevelBpe([prose.slice(0, 60_000)], { vocabularySize: 1200 })],
];
const formats: readonly OutputFormat[] = [
  { type: 'json-object' },
  { type: 'regex', pattern: '(ab|cd)*x{2,40}[0-9]+' },
  {
    type: 'json-schema',
    schema: { type: 'array', items: { type: 'string', maxLength: 5 }, minItems: 4, maxItems: 9 },
  },
];
const cases = tokenizers.flatMap(([name, tokenizer]) =>
  formats.map((format) => ({ name, kind: format.type, tokenizer, format })),
);

describe.each(cases)('$kind, $name', ({ tokenizer, format }) => {
  const compiled = new CompiledFormats(tokenizer, new Set(tokenizer.eosIds));
  const V = tokenizer.vocabularySize;
  const isEnd = (id: number) => tokenizer.eosIds.includes(id);

  it('allows and names exactly the tokens that restricting leaves, also where few are left', () => {
    const draw = drawer(3);
    let named = 0;
    for (const maxTokens of [45, 60, 90]) {
      const constraint = compiled.constraint(format, maxTokens);
      for (let step = 0; step < maxTokens && !constraint.isComplete; step++) {
        const left = allowedBy(constraint, V);
        expect(Array.from({ length: V }, (_, id) => id).filter((id) => constraint.allows(id))).toEqual(left);
        expect(constraint.few('full')).toEqual(left.length <= FEW ? left : null);
        const cheap = constraint.few('cheap');
        if (cheap) expect(cheap).toEqual(left);
        if (cheap) named++;
        const id = left[Math.floor(draw() * left.length)];
        if (isEnd(id)) break;
        constraint.accept(id);
      }
    }
    expect(named).toBeGreaterThan(0);
  });

  it.each([0, 1])('chooses the same in a batch and alone, at temperature %d', async (temperature) => {
    const draw = drawer(4);
    const constraint = compiled.constraint(format, 60);
    const sampler = new Sampler({ temperature, constraint }, []);
    for (let step = 0; step < 60 && !sampler.isComplete; step++) {
      const logits = Float32Array.from({ length: V }, draw);
      const rows = tensor(Float32Array.from([...logits, ...logits]), { shape: [2, V] });
      const choice = { draw: sampler.draw(), constraint };
      const [together, free] = await chooseRows(rows, [choice, { draw: { index: step, options: {} } }]);
      const [alone] = await chooseRows(rows.slice(0, 0, 1), [choice]);
      expect(alone).toEqual(together);
      expect(free).toBe(logits.indexOf(Math.max(...logits)));
      const allowed = allowedBy(constraint, V);
      if (temperature === 0) expect(together).toBe(allowed.reduce((a, b) => (logits[b] > logits[a] ? b : a)));
      else expect(allowed).toContain(together);
      expect(sampler.accept(logits).id).toBe(together);
      if (isEnd(together as number)) break;
    }
  });
});

/** By striking out all others. */
function allowedBy(constraint: TokenConstraint, V: number): number[] {
  const logits = new Float32Array(V);
  constraint.restrict(logits);
  return [...logits.keys()].filter((id) => logits[id] === 0);
}
