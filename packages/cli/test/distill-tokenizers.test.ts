import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const lines = (values: readonly object[]) => values.map((value) => JSON.stringify(value)).join('\n');

async function succeed(args: readonly string[]) {
  const outcome = await frugal(args);
  expect(outcome.err.replace(/^.*tok\/s.*\n/gm, ''), args.join(' ')).toBe('');
  expect(outcome.code).toBe(0);
  return outcome;
}

const texts = corpus.flatMap((text, i) =>
  Array.from({ length: 6 }, (_, j) => ({ text: `${i}.${j} ${text}` })),
);
await writeFile(at('corpus.jsonl'), lines(texts));
await writeFile(at('held-out.jsonl'), lines(texts.filter((_, i) => i % 3 === 0)));
await saveTinyModel(at('student'));
// The vocabulary of the teacher was made of other texts, and cut at other places.
await saveTinyModel(at('teacher'), { ...tinyConfig, num_hidden_layers: 3 }, 2, [
  'peace citizens satisfaction '.repeat(20),
  '曹操引兵 '.repeat(20),
]);
await succeed(['data', 'pack', at('corpus.jsonl'), '--tokenizer', at('student'), '--out', at('packed')]);

const training = ['--steps', '6', '--sequence', '16', '--batch', '2', '--learning-rate', '0.003'];
const pair = ['distill', '--teacher', at('teacher'), '--student', at('student'), ...training];
const tensors = (name: string) => readFile(at(`${name}/model.safetensors`));

describe('distill --loss uld', () => {
  const base = [...pair, '--data', at('packed'), '--loss', 'uld'];

  it('learns from a teacher with another tokenizer, and keeps its own', async () => {
    const refused = await frugal([...pair, '--data', at('packed'), '--out', at('refused')]);
    expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/tokenizer/)]);
    const control = ['--control', '--held-out', at('held-out.jsonl'), '--json'];
    const { out } = await succeed([...base, ...control, '--out', at('taught')]);
    expect(JSON.parse(out)).toMatchObject({ steps: 6, control: { gain: { documents: 6 } } });
    expect(await tensors('taught')).not.toEqual(await tensors('taught.control'));
    const tokenizer = (name: string) => readFile(at(`${name}/tokenizer.json`), 'utf8');
    expect(await tokenizer('taught')).toBe(await tokenizer('student'));
    // More weight of the teacher leads elsewhere.
    await succeed([...base, '--uld-weight', '30', '--out', at('heavy')]);
    expect(await tensors('heavy')).not.toEqual(await tensors('taught'));
  });

  it('names the flags that do not fit', async () => {
    const problems: readonly [readonly string[], RegExp][] = [
      [['--top-k', '5'], /--top-k\].*--loss uld does not have it/],
      [['--alpha', '0.5'], /--alpha\].*Its share of the loss is --uld-weight/],
      [['--max-tokens', '5'], /--max-tokens\].*expected --loss sequence/],
      [['--teacher-cache', 'x'], /leave out --teacher-cache/],
    ];
    for (const [flags, message] of problems) {
      const { code, err } = await frugal([...base, ...flags, '--out', at('wrong')]);
      expect([code, err]).toEqual([2, expect.stringMatching(message)]);
    }
    const { code, err } = await frugal([
      ...pair,
      '--data',
      at('packed'),
      '--uld-weight',
      '2',
      '--out',
      at('wrong'),
    ]);
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/--uld-weight\].*--loss forward-kl does not have it/),
    ]);
  });
});

describe('distill --loss sequence', () => {
  const questions = Array.from({ length: 12 }, (_, i) => `Is peace ${i}?`);
  const base = [...pair, '--loss', 'sequence', '--data', at('questions.jsonl'), '--max-tokens', '8'];

  it('learns what the teacher answers, whatever its tokenizer, and goes on after an interruption', async () => {
    await writeFile(at('questions.jsonl'), lines(questions.map((text) => ({ text }))));
    const lesson = questions.map((prompt) => ({ prompt, completion: 'citizens' }));
    await writeFile(at('lesson.jsonl'), lines(lesson));
    const silent = await frugal([...base, '--max-tokens', '1', '--attempts', '1', '--out', at('silent')]);
    expect([silent.code, silent.err]).toEqual([1, expect.stringMatching(/the teacher ended no answer/)]);
    const tuning = ['--full', '--steps', '60', '--batch', '4', '--learning-rate', '0.02', '--sequence', '64'];
    await succeed([
      'finetune',
      at('teacher'),
      '--data',
      at('lesson.jsonl'),
      ...tuning,
      '--out',
      at('fluent'),
    ]);
    const own = base.map((word) => (word === at('teacher') ? at('fluent') : word));
    const options = ['--temperature', '0.1', '--sequence', '64', '--steps', '30', '--learning-rate', '0.01'];
    const { out } = await succeed([...own, ...options, '--out', at('whole'), '--json']);
    const answers = (await readFile(at('whole.training/answers.jsonl'), 'utf8')).trim().split('\n');
    expect(answers.map((line) => JSON.parse(line).messages)).toEqual(
      questions.map((content) => [
        { role: 'user', content },
        { role: 'assistant', content: 'citizens' },
      ]),
    );
    expect(JSON.parse(out).loss).toBeLessThan(4); // ln 300 = 5.7 before it has learned anything
    const controller = new AbortController();
    const onError = (text: string) => {
      if (/^distill/.test(text)) controller.abort(new Interrupted());
    };
    const cut = await frugal([...own, ...options, '--out', at('cut')], {
      signal: controller.signal,
      onError,
    });
    expect([cut.code, existsSync(at('cut'))]).toEqual([130, false]);
    const other = await frugal([...own, ...options, '--attempts', '2', '--out', at('cut'), '--resume']);
    expect([other.code, other.err]).toEqual([1, expect.stringMatching(/other settings.*attempts/)]);
    await succeed([...own, ...options, '--out', at('cut'), '--resume']);
    expect(await tensors('cut')).toEqual(await tensors('whole'));
    expect(existsSync(at('cut.training/checkpoints'))).toBe(false);
  });
});
