import { readFile } from 'node:fs/promises';
import { checkingModes, conformanceTasks } from '@frugal/tensor-core/conformance';
import { expect, it } from 'vitest';

it('the README counts the cases that the suite has now', async () => {
  const page = await readFile(new URL('../README.md', import.meta.url), 'utf8');
  for (const mode of checkingModes) {
    const row = new RegExp(`^${mode} +([\\d,]+) +0 +0$`, 'm').exec(page);
    // After a change of the suite run the example and put what it prints into the README.
    expect(Number(row?.[1].replaceAll(',', '')), mode).toBe(conformanceTasks(mode).length);
  }
});
