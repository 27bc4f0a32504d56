import { tensor } from '@frugal/tensor-core';
import { chooseRows, Sampler } from '@frugal/tensor-core/generation';
import { describe, expect, it } from 'vitest';
import { CompiledFormats, type OutputFormat } from '../src/grammar/index.js';
import { drawer } from './support/random.js';
import { byteIds, byteTokenizer } from './support/tiny.js';

const tokenizer = byteTokenizer();
const formats = new CompiledFormats(tokenizer, new Set([byteIds.end]));
const V = tokenizer.vocabularySize;

const cases: readonly OutputFormat[] = [
  { type: 'json-object' },
  { type: 'regex', pattern: '(ab|cd)*x{2,40}[0-9]+' },
  {
    type: 'json-schema',
    schema: { type: 'array', items: { type: 'string', maxLength: 5 }, minItems: 4, maxItems: 9 },
  },
];

describe.each(cases)('$type', (format) => {
  it('allows exactly the tokens that restricting leaves, also where few are left', () => {
    const draw = drawer(3);
    for (const maxTokens of [45, 60, 90]) {
      const constraint = formats.constraint(format, maxTokens);
      for (let step = 0; step < maxTokens && !constraint.isComplete; step++) {
        const logits = new Float32Array(V);
        constraint.restrict(logits);
        const left = [...logits.keys()].filter((id) => logits[id] === 0);
        expect([...logits.keys()].filter((id) => constraint.allows(id))).toEqual(left);
        const id = left[Math.floor(draw() * left.length)];
        if (id === byteIds.end) break;
        constraint.accept(id);
      }
    }
  });

  it('the most likely allowed token is the same with and without striking out the others', async () => {
    const draw = drawer(4);
    const constraint = formats.constraint(format, 60);
    const sampler = new Sampler({ temperature: 0, constraint }, []);
    for (let step = 0; step < 60 && !sampler.isComplete; step++) {
      const logits = Float32Array.from({ length: V }, draw);
      const edit = (row: Float32Array) => sampler.prepare(row);
      const rows = tensor(Float32Array.from([...logits, ...logits, ...logits]), { shape: [3, V] });
      const choice = { draw: sampler.draw(), edit };
      const free = { draw: sampler.draw() };
      const [quick, slow, other] = await chooseRows(rows, [
        { ...choice, allows: sampler.allows },
        choice,
        free,
      ]);
      const [alone] = await chooseRows(rows.slice(0, 0, 1), [{ ...choice, allows: sampler.allows }]);
      expect([quick, alone]).toEqual([slow, slow]);
      expect(other).toBe(logits.indexOf(Math.max(...logits)));
      if (slow === byteIds.end) break;
      sampler.accept(slow);
    }
  });
});
