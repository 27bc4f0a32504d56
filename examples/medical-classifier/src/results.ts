import { formatBytes, renderTable } from '@frugal/report';
import { type Verdict, WANTED } from './judge.js';
import type { Split, SplitKind } from './split.js';

/** The article's claim, for the random split. */
const MARK = 0.94;

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

const titles = {
  random: 'random split (sibling codes on both sides)',
  category: 'split by 3-character category (no siblings on the other side)',
};

export function printVerdicts(kind: SplitKind, { train, test }: Split, verdicts: readonly Verdict[]): void {
  console.log(`\n${titles[kind]}: ${train.length} names to learn from, ${test.length} in the test\n`);
  const right = { align: 'right' as const };
  const columns = [
    { title: 'model' },
    { title: 'accuracy', ...right },
    { title: '95 % interval', ...right },
    { title: 'English', ...right },
    { title: 'Chinese', ...right },
    { title: 'macro F1', ...right },
    { title: 'ECE → at temperature', ...right },
    { title: 'answered, right', ...right },
    { title: 'weights', ...right },
    { title: 'ms/case', ...right },
  ];
  const rows = verdicts.map((each) => [
    each.name,
    percent(each.accuracy),
    `${percent(each.interval[0])} to ${percent(each.interval[1])}`,
    percent(each.english),
    percent(each.chinese),
    each.macroF1.toFixed(3),
    `${each.calibration.before.toFixed(3)} → ${each.calibration.after.toFixed(3)} at ${each.temperature.toFixed(2)}`,
    each.answered.share > 0 ? `${percent(each.answered.share)}, ${percent(each.answered.accuracy)}` : 'none',
    formatBytes(each.bytes),
    each.milliseconds.toFixed(2),
  ]);
  console.log(renderTable(columns, rows));
  if (kind !== 'random') return;
  const best = verdicts.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  const reached = best.accuracy >= MARK ? 'reached' : 'missed';
  console.log(
    `\nthe mark of ${percent(MARK)} is ${reached}: ${best.name} has ${percent(best.accuracy)}; refusals are set so that ${percent(WANTED)} of the answers should be right`,
  );
}
