import { expect, it } from 'vitest';
import { ArgumentError } from './errors.js';
import { nullBackend } from './null/index.js';
import { referenceBackend } from './reference/index.js';
import { currentBackend, withBackend } from './registry.js';

it('refuses asynchronous functions, which would lose the backend at their first await', () => {
  expect(withBackend(nullBackend(), currentBackend)).toBe(nullBackend());
  expect(() => withBackend(nullBackend(), async () => currentBackend())).toThrow(ArgumentError);
  expect(currentBackend()).toBe(referenceBackend());
});
