import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compressWeights, parseRecipe } from '@frugal/compress';
import { createTabular } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { formatBytes, formatNumber } from '@frugal/report';
import { expect, it } from 'vitest';
import { COST } from '../src/cost.js';
import { names } from '../src/cross-validate.js';
import { settings } from '../src/settings.js';

const page = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');
const shown = (/```text\n([\s\S]*?)```/.exec(page) as RegExpExecArray)[1].trimEnd().split('\n');
const number = (text: string) => Number(text.replaceAll(',', ''));
const [trucks, sensors, failures] = (
  /(\d+) of them different, (\d+) sensors, (\d+) failures/.exec(shown[0]) ?? []
)
  .slice(1)
  .map(Number);

/** cost, false alarms, missed and weights of a row. */
function rowOf(name: string) {
  const cells = shown.find((line) => line.startsWith(`${name} `))?.split(/ {2,}/) ?? [];
  return { cost: number(cells[1]), alarms: number(cells[3]), missed: number(cells[4]), weights: cells[5] };
}

it('the README shows every model, and costs that are those of its alarms', () => {
  for (const name of ['never maintain', 'always maintain', ...names]) {
    const { cost, alarms, missed } = rowOf(name);
    expect(cost, name).toBe(COST.falseAlarm * alarms + COST.missedFailure * missed);
  }
  expect(rowOf('never maintain').missed).toBe(failures);
  expect(rowOf('always maintain').alarms).toBe(trucks - failures);
});

it('the README shows the sizes of the full networks', async () => {
  const { width, layers } = settings.full.student;
  const config = {
    architectures: ['FrugalTabularMLP'],
    hidden_size: width,
    intermediate_size: 2 * width,
    num_hidden_layers: layers,
    numeric_features: sensors,
    num_outputs: 2,
  };
  const targets = { include: ['entry', 'blocks.**'] };
  const int8 = { type: 'quant.rtn', targets, format: 'int8-channel', activation: 'int8' };
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers: [int8] }] });
  const model = createTabular(config, { seed: 1 });
  const { report } = await compressWeights(model, recipe, { methods: [roundToNearest] });
  for (const name of ['student alone', 'student distilled'])
    expect(rowOf(name).weights).toBe(formatBytes(report.bytesAfter));
  expect(rowOf('logistic regression').weights).toBe(formatBytes(4 * (2 * sensors + 2)));
});

it('the README draws the conclusion that follows from its numbers', () => {
  const best = Math.min(...['never maintain', 'always maintain', names[0]].map((name) => rowOf(name).cost));
  for (const name of names.slice(1)) {
    const share = (100 * (1 - rowOf(name).cost / best)).toFixed(1);
    const line = shown.find((each) => each.startsWith(`${name} against`));
    expect(line).toContain(`${share} % lower cost`);
    expect(line).toContain(Number(share) >= 30 ? 'reached' : 'missed');
  }
  expect(formatNumber(trucks)).toBe('2,002');
});
