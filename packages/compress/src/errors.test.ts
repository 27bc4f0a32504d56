import { expect, it } from 'vitest';
import { PlanError } from './errors.js';

it('names the first problems and counts the rest', () => {
  const problems = Array.from({ length: 168 }, (_, i) => `problem ${i}`);
  const error = new PlanError(problems);
  expect(error.problems).toEqual(problems);
  expect(error.message).toMatch(
    /has 168 problems: got problem 0; .*problem 19; and 148 more\. Nothing was changed\.$/,
  );
  expect(new PlanError(['one']).message).toBe(
    '[compress] the plan has 1 problem: got one. Nothing was changed.',
  );
});
