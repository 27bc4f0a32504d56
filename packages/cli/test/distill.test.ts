import { existsSync } from 'node:fs';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createModel, saveModel } from '@frugal/models';
import { describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig, tinyTokenizer } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

async function succeed(args: readonly string[]) {
  const outcome = await frugal(args);
  expect(outcome.err.replace(/^.*tok\/s.*\n/gm, ''), args.join(' ')).toBe('');
  expect(outcome.code).toBe(0);
  return outcome;
}

const texts = corpus.flatMap((text, i) => Array.from({ length: 6 }, (_, j) => `${i}.${j} ${text}`));
const lines = (some: readonly string[]) => some.map((text) => JSON.stringify({ text })).join('\n');
await writeFile(at('corpus.jsonl'), lines(texts));
await writeFile(
  at('held-out.jsonl'),
  lines(texts.map((text) => text.slice(0, 200)).filter((_, i) => i % 3 === 0)),
);
await saveTinyModel(at('teacher'), { ...tinyConfig, num_hidden_layers: 3 });
await succeed(['data', 'pack', at('corpus.jsonl'), '--tokenizer', at('teacher'), '--out', at('packed')]);

const training = ['--steps', '6', '--sequence', '16', '--batch', '2', '--learning-rate', '0.003'];
const base = ['distill', '--teacher', at('teacher'), '--data', at('packed'), ...training];

describe('distill', () => {
  it('starts from layers of the teacher, and measures what the teacher was good for', async () => {
    const args = ['--student-layers', '0,2', '--loss', 'skew-kl', '--skew', '0.2', '--top-k', '20'];
    const control = ['--control', '--held-out', at('held-out.jsonl')];
    const { out } = await succeed([...base, ...args, ...control, '--out', at('student'), '--json']);
    const { steps, control: comparison } = JSON.parse(out);
    expect(steps).toBe(6);
    const { taught, alone, gain } = comparison;
    expect(gain.difference).toBeCloseTo(alone - taught, 10);
    expect(gain.low).toBeLessThanOrEqual(gain.difference);
    expect(gain.high).toBeGreaterThanOrEqual(gain.difference);
    expect(gain.documents).toBe(6);
    const score = async (model: string) => {
      const scored = ['perplexity', at(model), '--text', at('held-out.jsonl'), '--context', '16', '--json'];
      return JSON.parse((await succeed(scored)).out).bitsPerByte;
    };
    expect(await score('student')).toBeCloseTo(taught, 8);
    expect(await score('student.control')).toBeCloseTo(alone, 8);
    const config = JSON.parse(await readFile(at('student/config.json'), 'utf8'));
    expect(config.num_hidden_layers).toBe(2);
    const manifest = JSON.parse(await readFile(at('student.control/frugal.json'), 'utf8'));
    expect(manifest.sources).toEqual([{ role: 'student', name: `layers 0, 2 of ${at('teacher')}` }]);
  });

  it('goes on after an interruption between the arms, to the same weights', async () => {
    const args = [
      ...base,
      '--student-layers',
      '0,2',
      '--control',
      '--held-out',
      at('held-out.jsonl'),
      '--out',
      at('cut'),
    ];
    const controller = new AbortController();
    const onError = () => existsSync(at('cut.control')) && controller.abort(new Interrupted());
    const { code } = await frugal(args, { signal: controller.signal, onError });
    expect([code, existsSync(at('cut.control')), existsSync(at('cut'))]).toEqual([130, true, false]);
    const blind = await frugal(args);
    expect([blind.code, blind.err]).toEqual([1, expect.stringMatching(/cut.control.*exists already/)]);
    const other = await frugal([...args, '--resume', '--temperature', '2']);
    expect([other.code, other.err]).toEqual([1, expect.stringMatching(/other settings.*temperature/)]);
    await succeed([...args, '--resume']);
    await succeed([...base, '--student-layers', '0,2', '--out', at('whole')]);
    const weights = (name: string) => readFile(at(`${name}/model.safetensors`));
    expect(await weights('cut')).toEqual(await weights('whole'));
  });

  it('makes a narrow student of the teacher, and matches its hidden states', async () => {
    const { vocab_size: _, ...shape } = tinyConfig;
    const model = { ...shape, hidden_size: 8, head_dim: 8, num_attention_heads: 1, num_key_value_heads: 1 };
    await writeFile(at('narrow.yaml'), JSON.stringify({ model: { ...model, num_hidden_layers: 2 } }));
    const args = ['--student', at('narrow.yaml'), '--student-layers', '0,2', '--hidden', 'cosine'];
    await succeed([...base, ...args, '--loss', 'jensen-shannon', '--beta', '0.9', '--out', at('narrow')]);
    const { out } = await succeed(['inspect', at('narrow'), '--json']);
    expect(JSON.parse(out).kind).toBe('distill');
    expect(await readFile(at('narrow/model.safetensors'), 'latin1')).not.toContain('projection');
  });

  it('takes a teacher whose head is padded', async () => {
    const padded = createModel({ ...tinyConfig, vocab_size: 320 }, { seed: 4 });
    await saveModel(padded, at('padded'), { tokenizerFiles: tinyTokenizer.files() });
    await saveTinyModel(at('plain'));
    const args = ['distill', '--teacher', at('padded'), '--data', at('packed'), ...training];
    await succeed([...args, '--student', at('plain'), '--out', at('from-padded')]);
    expect(JSON.parse(await readFile(at('from-padded/config.json'), 'utf8')).vocab_size).toBe(300);
  });

  it('learns from what the student writes', async () => {
    const args = [...base, '--student-layers', '0', '--loss', 'reverse-kl', '--on-policy', '0.5'];
    await succeed([...args, '--steps', '2', '--out', at('on-policy')]);
    expect(existsSync(at('on-policy/model.safetensors'))).toBe(true);
    const { code, err } = await frugal([...args, '--teacher-cache', at('unused'), '--out', at('never')]);
    expect([code, err]).toEqual([2, expect.stringMatching(/leave out --on-policy/)]);
  });

  it('asks the teacher first, and trains from what it said', async () => {
    const cache = ['--teacher-cache', at('cache')];
    const args = [...base, '--student-layers', '0,2', '--top-k', '30'];
    await succeed([...args, ...cache, '--out', at('cached')]);
    const again = await frugal([...args, ...cache, '--temperature', '2', '--out', at('other')]);
    expect([again.code, again.err]).toEqual([
      1,
      expect.stringMatching(/another temperature: got 1; expected 2/),
    ]);
    const [block] = (await readdir(at('cache'))).filter((name) => name.startsWith('block'));
    await truncate(join(at('cache'), block), 100);
    await succeed([...args, ...cache, '--out', at('repaired')]);
    const weights = (name: string) => readFile(at(`${name}/model.safetensors`));
    expect(await weights('repaired')).toEqual(await weights('cached'));
  });

  it.each([
    [['--student-layers', '0', '--teacher-cache', 'cache', '--hidden', 'mse'], 2, /holds no hidden states/],
    [['--student-layers', '0', '--teacher-url', 'http://127.0.0.1:9/v1'], 2, /needs --teacher-cache/],
    [['--student-layers', '0,3'], 1, /the teacher has no layer 3/],
    [[], 2, /nothing says what the student is/],
    [['--student', 'teacher', '--student-layers', '0'], 2, /--student names one that exists/],
    [['--student-layers', '0', '--control'], 2, /belong together/],
    [['--student-layers', '0', '--loss', 'reverse-kl', '--beta', '0.5'], 1, /reverse-kl takes no beta/],
    [['--student-layers', '0', '--loss', 'hellinger'], 2, /Allowed choices are forward-kl/],
  ])('refuses %j', async (args, code, message) => {
    const outcome = await frugal([...base, ...args, '--out', at('never')]);
    expect([outcome.code, outcome.err]).toEqual([code, expect.stringMatching(message)]);
    expect(existsSync(at('never'))).toBe(false);
    await rm(at('never.training'), { recursive: true, force: true });
  });

  it('needs documents for an interval', async () => {
    await writeFile(at('one.txt'), 'one document');
    const args = ['--student-layers', '0', '--control', '--held-out', at('one.txt'), '--out', at('never')];
    const { code, err } = await frugal([...base, ...args]);
    expect([code, err]).toEqual([1, expect.stringMatching(/too few documents.*got 1/)]);
  });
});
