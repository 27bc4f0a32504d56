import { expect, it } from 'vitest';
import { createNormalizer } from './normalize.js';

it('strips without taking the square of the length of a gap', () => {
  const strip = createNormalizer({ type: 'Strip', strip_left: true, strip_right: true }, 'tokenizer.json');
  const gap = ' \u3000'.repeat(250_000);
  expect(strip?.(`${gap}a${gap}b${gap}`)).toBe(`a${gap}b`);
});
