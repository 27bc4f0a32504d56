import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createModel } from '@frugal/models';
import { formatBytes } from '@frugal/report';
import { expect, it } from 'vitest';
import { settings } from '../src/settings.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const [, options, block] = /<!-- output of: node dist\/main.js(.*) -->\n\n```text\n([\s\S]*?)```/.exec(
  page,
) as RegExpExecArray;
const shown = block.trimEnd().split('\n');
const chosen = settings[options.includes('--quick') ? 'quick' : 'full'];
const model = createModel({ ...chosen.model, vocab_size: chosen.vocabularySize }, { seed: 1 });
const weights = model.parameters().reduce((sum, { value }) => sum + value.size, 0);
const rows = shown.slice(2, shown.indexOf('', 2)).map((line) => line.split(/ {2,}/));

it('the README shows the steps of each part, and dense sizes of four bytes a weight', () => {
  const { firstSteps, localSteps, steps } = chosen;
  const alone = firstSteps + localSteps;
  expect(rows.map((row) => Number(row[2]))).toEqual([firstSteps, alone, alone, steps, steps]);
  for (const row of rows.slice(0, 4)) expect(row[4]).toBe(formatBytes(4 * weights));
});

it('the README shows one exchange for every localSteps steps, a byte and a sixty-fourth per weight', () => {
  const { firstSteps, localSteps, steps, batch, speeds } = chosen;
  const [, exchanges, amount, unit, first, second] =
    /each of (\d+) exchanges brought the first place ([\d.]+) (kB|MB).*shares (\d+):(\d+), of/.exec(
      block,
    ) as RegExpExecArray;
  expect(Number(exchanges)).toBe((steps - firstSteps) / localSteps);
  expect((Number(amount) * (unit === 'MB' ? 1e6 : 1e3)) / weights).toBeCloseTo(1.016, 1);
  expect(Number(first) + Number(second)).toBe(batch);
  expect(Number(first) / Number(second)).toBeCloseTo(speeds[0] / speeds[1], 5);
});
