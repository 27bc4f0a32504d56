import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { examOf, readExam } from '../src/exam.js';
import { documentOf, type Idiom, readIdioms } from '../src/idioms.js';

const idiom = (word: string, explanation: string): Idiom => ({ word, explanation, source: '', example: '' });

it('an exam asks for each idiom once, with its explanation among those of others', () => {
  const idioms = [
    idiom('画蛇添足', '比喻做了多余的事，反而坏事。'),
    idiom('守株待兔', '比喻死守经验，"不知变通"。'),
    idiom('亡羊补牢', '比喻出了问题以后，想办法补救。'),
    idiom('掩耳盗铃', '比喻自己欺骗自己。'),
    idiom('刻舟求剑', '比喻不懂事物已发展变化。'),
  ];
  const csv = examOf(idioms);
  expect(csv.split('\n')[0]).toBe('id,question,A,B,C,D,answer');
  const items = readExam(csv);
  expect(items).toHaveLength(5);
  for (const [i, { question, choices, answer, subject }] of items.entries()) {
    expect(question).toBe(`成语“${idioms[i].word}”是什么意思？`);
    expect(choices[answer]).toBe(idioms[i].explanation);
    expect(new Set(choices).size).toBe(4);
    expect(subject).toBe('成语');
  }
  // Always the same letter would be an exam that a parrot passes.
  expect(new Set(items.map(({ answer }) => answer)).size).toBeGreaterThan(1);
});

it('the dictionary says 无 for nothing, and ～ for the idiom itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'frugal-idioms-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'idioms.csv');
  writeFileSync(
    file,
    ',abbreviation,derivation,example,explanation,word\n0,a,无,他～了。,多余,画蛇添足\n1,b,《左传》,无,"补救,不晚",亡羊补牢\n',
  );
  const idioms = readIdioms(file);
  expect(idioms.map((each) => documentOf(each).text)).toEqual([
    '成语：画蛇添足\n释义：多余\n例句：他画蛇添足了。',
    '成语：亡羊补牢\n释义：补救,不晚\n出处：《左传》',
  ]);
  expect(readIdioms(file, 1)).toHaveLength(1);
});
