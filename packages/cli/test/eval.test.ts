import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const model = join(folder, 'model');
const tasks = join(folder, 'tasks.yaml');

beforeAll(async () => {
  await saveTinyModel(model, { ...tinyConfig, max_position_embeddings: 256 });
  await writeFile(join(folder, 'text.txt'), corpus.join('\n'));
  await mkdir(join(folder, 'ceval', 'val'), { recursive: true });
  await mkdir(join(folder, 'ceval', 'dev'));
  const header = 'id,question,A,B,C,D,answer\n';
  await writeFile(join(folder, 'ceval/val/law_val.csv'), `${header}0,甲,一,二,三,四,A\n1,乙,一,二,三,四,C\n`);
  await writeFile(join(folder, 'ceval/val/art_val.csv'), `${header}0,丙,一,二,三,四,B\n`);
  await writeFile(join(folder, 'ceval/dev/law_dev.csv'), `${header}0,丁,一,二,三,四,D\n`);
  await writeFile(join(folder, 'sums.jsonl'), '{"prompt":"1 + 1 =","answer":"2"}\n');
  await writeFile(
    tasks,
    'tasks:\n' +
      '  - { name: law, type: multiple-choice, files: ceval/val/law_val.csv, style: text, language: en }\n' +
      '  - { name: sums, type: generation, files: sums.jsonl, match: number }\n' +
      '  - { name: held-out, type: text, files: text.txt, context: 32 }\n',
  );
});

describe('eval', () => {
  it('does the tasks of a file, and writes what it found', async () => {
    const out = join(folder, 'report');
    const {
      code,
      out: printed,
      err,
    } = await frugal(['eval', model, '--tasks', tasks, '--max-tokens', '4', '--out', out]);
    expect(err).toBe('');
    expect(code).toBe(0);
    expect(printed).toMatch(/law +2 .*\n.*sums +1 .*\n.*held-out/);
    const report = JSON.parse(await readFile(join(out, 'results.json'), 'utf8'));
    expect(report.tasks.map(({ name }: { name: string }) => name)).toEqual(['law', 'sums', 'held-out']);
    expect(report.tasks[0].items[0].logLikelihoods).toHaveLength(4);
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('<svg');
    expect((await frugal(['eval', model, '--tasks', tasks, '--out', out])).err).toContain('--force');
  });

  it('keeps what is finished when it goes on', async () => {
    const out = join(folder, 'resumed');
    const run = (...more: string[]) =>
      frugal(['eval', model, '--tasks', join(folder, 'sums.jsonl'), '--out', out, ...more]);
    await run();
    const [file] = await readdir(join(out, 'tasks'));
    const kept = JSON.parse(await readFile(join(out, 'tasks', file), 'utf8'));
    kept.items[0].text = 'from the first run';
    await writeFile(join(out, 'tasks', file), JSON.stringify(kept));
    const { out: printed } = await run('--resume', '--json');
    expect(JSON.parse(printed).tasks[0].items[0].text).toBe('from the first run');
    const { out: other } = await run('--resume', '--json', '--max-tokens', '2'); // other settings, other answers
    expect(JSON.parse(other).tasks[0].items[0].text).not.toBe('from the first run');
  });

  it('reads the folders of C-Eval, and compares two models item by item', async () => {
    const tiny = ['--tasks', join(folder, 'ceval'), '--shots', '0'];
    const { code, out, err } = await frugal(['eval', model, ...tiny, '--against', model, '--json']);
    expect(err).toBe('');
    expect(code).toBe(0);
    const { tasks: results, against } = JSON.parse(out);
    expect(results[0].accuracy.bySubject).toMatchObject({ law: { items: 2 }, art: { items: 1 } });
    expect(against.comparisons[0].accuracy).toMatchObject({ items: 3, difference: 0, flips: 0, pValue: 1 });
    expect(against.divergence).toMatchObject({ kl: 0, sameTop: 1 });
  });

  it.each([
    ['no such file', 'nowhere.yaml', '', /no such file/],
    ['an unknown kind', 'a.yaml', 'tasks: [{ name: x, type: magic, files: a }]', /the tasks are wrong/],
    ['a wrong key', 'b.yaml', 'tasks: [{ name: x, type: text, files: a, shotz: 1 }]', /shotz/],
    [
      'two tasks of one name',
      'd.yaml',
      'tasks: [{ name: x, type: text, files: a }, { name: x, type: text, files: b }]',
      /d\.yaml\] two tasks have one name: got x/,
    ],
    [
      'one key twice',
      'e.yaml',
      'tasks:\n  - { name: x, name: y, type: text, files: a }',
      /e\.yaml\] the file is not YAML or JSON: got Map keys must be unique/,
    ],
    [
      'shots without examples',
      'f.yaml',
      'tasks: [{ name: x, type: multiple-choice, files: ceval/val/law_val.csv, shots: 2 }]',
      /\[x\] the task has no solved examples to show: got 2 shots; expected examples/,
    ],
    ['broken items', 'c.jsonl', '{"question":"q","choices":["a"],"answer":0}', /1 choices/],
  ])('refuses %s', async (_, name, content, message) => {
    const file = join(folder, name);
    if (content) await writeFile(file, content);
    const { code, err } = await frugal(['eval', model, '--tasks', file]);
    expect(code).toBe(1);
    expect(err).toMatch(message);
  });
});
