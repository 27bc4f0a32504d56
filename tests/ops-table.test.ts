import { readFile } from 'node:fs/promises';
import { type OpName, operations, primitiveOps, referenceBackend } from '@frugal/tensor-core';
import { expect, it } from 'vitest';

const page = await readFile(new URL('../docs/ops.md', import.meta.url), 'utf8');
const rows = new Map(
  [...page.matchAll(/^\| (\*\*)?(\w+)\1? \| (.*) \|$/gm)].map(([, bold, op, cells]) => [
    op,
    { bold: bold !== undefined, cells: cells.split(' | ') },
  ]),
);

it('the table of ops names every op that some backend must compute', () => {
  const { kernels } = referenceBackend();
  const expected = (Object.keys(operations) as OpName[]).filter((op) => kernels[op]);
  expect(expected.filter((op) => !rows.has(op))).toEqual([]); // else run scripts/ops-table.mjs
  for (const op of primitiveOps) expect(rows.get(op)?.bold, op).toBe(true);
});

it('the table of ops shows all backends and no failure', () => {
  expect(page).toMatch(/^\| op \| reference \| cpu \| cuda \| ascend \|$/m);
  expect(page).not.toContain('~~f');
  for (const [op, { cells }] of rows)
    if (op !== 'op')
      expect(
        cells.filter((cell) => cell !== '–'),
        op,
      ).toHaveLength(4);
});
