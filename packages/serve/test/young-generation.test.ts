import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { compiled } from './support/program.js';

const program = fileURLToPath(compiled('./allocating.ts'));
/** Without marking beside the program, for whose time Node 24 lets the space grow, bound or not. */
const mostBytes = (...options: string[]) =>
  Number(execFileSync(process.execPath, ['--no-incremental-marking', program, ...options]));

it('the space in which V8 allocates stays as it was', () => {
  expect(mostBytes()).toBeGreaterThan(16 * 2 ** 20);
  expect(mostBytes('bound')).toBeLessThanOrEqual(4 * 2 ** 20);
});
