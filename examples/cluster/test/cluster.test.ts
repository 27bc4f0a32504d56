import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createModel } from '@frugal/models';
import { expect, it } from 'vitest';
import { historyOf } from '../src/results.js';
import { settings } from '../src/settings.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');
const { full } = settings;

/** shares, received, bits per byte, weights and time of a row. */
const rowOf = (name: string) =>
  shown
    .find((line) => line.startsWith(`${name} `))
    ?.split(/ {2,}/)
    .slice(1) ?? [];

it('the shares of a run are told in spans', () => {
  expect(
    historyOf([
      [8, 8],
      [8, 8],
      [11, 5],
      [8, 8],
    ]),
  ).toBe('8:8 for 2, 11:5 for 1, 8:8 for 1');
});

it('the README shows shares that make up the batch, and all steps', () => {
  for (const name of ['one process', 'two, equal shares', 'two, shares by speed']) {
    const shares = rowOf(name)[0].split(':').map(Number);
    expect(
      shares.reduce((sum, count) => sum + count, 0),
      name,
    ).toBe(full.batch);
  }
  const history = shown.find((line) => line.startsWith('shares by measured speed')) as string;
  const steps = [...history.matchAll(/for (\d+)/g)].map(([, count]) => Number(count));
  expect(steps.reduce((sum, count) => sum + count, 0)).toBe(full.steps);
});

it('the README shows equal weights and equal quality of all runs that exchange gradients', () => {
  const [alone, equal, measured] = ['one process', 'two, equal shares', 'two, shares by speed'].map(rowOf);
  for (const [, , bits, weights] of [equal, measured]) {
    expect(bits).toBe(alone[2]);
    expect(weights).toBe('the same');
  }
});

it('the README shows the traffic of int8 changes: a byte and a sixty-fourth per weight, once in localSteps steps', () => {
  const model = createModel({ ...full.model, vocab_size: full.vocabularySize }, { seed: 1 });
  const weights = model.parameters().reduce((sum, { value }) => sum + value.size, 0);
  const received = Number.parseFloat(rowOf(`two, every ${full.localSteps} steps`)[1]) * 1e3;
  // Beside the changes, each rank tells a few numbers.
  expect((received * full.localSteps) / weights).toBeCloseTo(1.016, 1);
});

const program = fileURLToPath(new URL('../dist/half-speed.js', import.meta.url));

it('a process at half speed gets its arguments, and its code is handed on', async (context) => {
  if (!existsSync(program)) return context.skip('needs the built example: npm run build');
  const child = spawn(process.execPath, [
    program,
    '-e',
    'console.log(process.argv[1]); process.exit(7)',
    'word',
  ]);
  let output = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect([output, code]).toEqual(['word\n', 7]);
});
