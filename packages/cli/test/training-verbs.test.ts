import { existsSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadTokenizer } from '@frugal/tokenizers';
import { describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { frugal, type Outcome } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

async function succeed(args: readonly string[]): Promise<Outcome> {
  const outcome = await frugal(args);
  expect(outcome.err.replace(/^.*tok\/s.*\n/gm, ''), args.join(' ')).toBe('');
  expect(outcome.code).toBe(0);
  return outcome;
}

/** Stops a training at its first sign of life; returns the exit code. */
async function interrupt(args: readonly string[]): Promise<number> {
  const controller = new AbortController();
  const onError = () => controller.abort(new Interrupted());
  return (await frugal(args, { signal: controller.signal, onError })).code;
}

const { vocab_size: _, ...shape } = tinyConfig;

async function writeConfig(name: string, changes: object = {}, training: object = {}): Promise<string> {
  const experiment = {
    model: shape,
    data: 'packed',
    tokenizer: 'tokenizer',
    out: name,
    training: { steps: 6, sequence: 16, batch: 2, ...training },
    ...changes,
  };
  await writeFile(at(`${name}.yaml`), JSON.stringify(experiment));
  return at(`${name}.yaml`);
}

const texts = corpus.flatMap((text, i) => Array.from({ length: 8 }, (_, j) => `${i}.${j} ${text}`));
await writeFile(at('corpus.jsonl'), texts.map((text) => JSON.stringify({ text })).join('\n'));

describe('data', () => {
  it('splits by hash: the same documents every time', async () => {
    const { out } = await succeed([
      'data',
      'split',
      at('corpus.jsonl'),
      '--out',
      at('split'),
      '--held-out',
      '0.25',
      '--json',
    ]);
    const { train, heldOut } = JSON.parse(out);
    expect(train.documents + heldOut.documents).toBe(texts.length);
    const lines = (await readFile(at('split/held-out.jsonl'), 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(heldOut.documents);
    expect(texts).toContain(JSON.parse(lines[0]).text);
  });

  it('trains a tokenizer that others open', async () => {
    await succeed([
      'data',
      'train-tokenizer',
      at('split/train.jsonl'),
      '--out',
      at('tokenizer'),
      '--vocabulary',
      '300',
    ]);
    const tokenizer = await loadTokenizer(at('tokenizer'));
    expect(tokenizer.vocabularySize).toBe(300);
    expect(tokenizer.decode(tokenizer.encode('却说曹操', { addSpecialTokens: false }))).toBe('却说曹操');
    const again = await frugal([
      'data',
      'train-tokenizer',
      at('split/train.jsonl'),
      '--out',
      at('tokenizer'),
    ]);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('--force')]);
  });

  it('packs what a dry run promised, one separator before each document', async () => {
    const args = [
      'data',
      'pack',
      at('split/train.jsonl'),
      '--tokenizer',
      at('tokenizer'),
      '--out',
      at('packed'),
      '--json',
    ];
    const planned = JSON.parse((await succeed([...args, '--dry-run'])).out);
    expect(existsSync(at('packed'))).toBe(false);
    const packed = JSON.parse((await succeed(args)).out);
    expect(packed).toEqual(planned);
    const tokenizer = await loadTokenizer(at('tokenizer'));
    const lines = (await readFile(at('split/train.jsonl'), 'utf8')).trim().split('\n');
    const lengths = lines.map(
      (line) => tokenizer.encode(JSON.parse(line).text, { addSpecialTokens: false }).length + 1,
    );
    expect(packed.tokens).toBe(lengths.reduce((sum, length) => sum + length, 0));
  });
});

describe('pretrain', () => {
  it('says what it would do', async () => {
    const config = await writeConfig('planned');
    const { out } = await succeed(['pretrain', config, '--dry-run', '--json']);
    expect(JSON.parse(out)).toMatchObject({ steps: 6, tokens: 6 * 32, parameters: 300 * 16 + 2 * 2208 + 16 });
    expect(existsSync(at('planned'))).toBe(false);
    expect(existsSync(at('planned.training'))).toBe(false);
  });

  it('takes files as they are, and packs them first', async () => {
    const [packed, files] = [
      await writeConfig('of-packed'),
      await writeConfig('of-files', { data: ['split/train.jsonl'] }),
    ];
    expect(JSON.parse((await succeed(['pretrain', files, '--dry-run', '--json'])).out).steps).toBe(6);
    await succeed(['pretrain', packed]);
    await succeed(['pretrain', files]);
    expect(await readFile(at('of-files/model.safetensors'))).toEqual(
      await readFile(at('of-packed/model.safetensors')),
    );
    const card = JSON.parse(await readFile(at('of-files.training/data/lineage.json'), 'utf8'));
    expect(card.steps.map(({ step }: { step: string }) => step)).toEqual(['split', 'pack']);
  });

  it('trains, evaluates and saves a model that the other verbs open', async () => {
    const evaluation = { texts: ['split/held-out.jsonl'], every: 15 };
    const config = await writeConfig('teacher', { evaluation }, { steps: 30 });
    const { out } = await succeed(['pretrain', config, '--json']);
    const { steps, tokens, loss, metrics } = JSON.parse(out);
    expect([steps, tokens]).toEqual([30, 30 * 32]);
    expect(loss).toBeLessThan(Math.log(300) - 0.5);
    const scored = await succeed([
      'perplexity',
      at('teacher'),
      '--text',
      at('split/held-out.jsonl'),
      '--context',
      '16',
      '--json',
    ]);
    expect(JSON.parse(scored.out).bitsPerByte).toBeCloseTo(metrics.bitsPerByte, 6);
    const inspected = JSON.parse((await succeed(['inspect', at('teacher'), '--json'])).out);
    expect(inspected).toMatchObject({ kind: 'pretrain', tokenizer: { vocabularySize: 300 } });
    const log = (await readFile(at('teacher.training/log.jsonl'), 'utf8')).trim().split('\n');
    expect(log.filter((line) => 'loss' in JSON.parse(line))).toHaveLength(30);
    expect(existsSync(at('teacher.training/checkpoints'))).toBe(false);
  });

  it('continues an interrupted run to the same weights', async () => {
    const whole = await writeConfig('whole');
    await succeed(['pretrain', whole]);
    const cut = await writeConfig('cut');
    expect(await interrupt(['pretrain', cut])).toBe(130);
    expect(existsSync(at('cut'))).toBe(false);
    const blind = await frugal(['pretrain', cut]);
    expect([blind.code, blind.err]).toEqual([1, expect.stringMatching(/not finished.*--resume/)]);
    await succeed(['pretrain', cut, '--resume']);
    expect(await readFile(at('cut/model.safetensors'))).toEqual(
      await readFile(at('whole/model.safetensors')),
    );
  });

  it('does not resume with other settings', async () => {
    const config = await writeConfig('changed');
    await interrupt(['pretrain', config]);
    await writeConfig('changed', {}, { learningRate: 0.5 });
    const { code, err } = await frugal(['pretrain', config, '--resume']);
    expect([code, err]).toEqual([
      1,
      expect.stringMatching(/other settings: got "learningRate": 0.5.*expected "learningRate": 0.01/),
    ]);
    await succeed(['pretrain', config, '--force']);
  });

  it('never replaces a finished model unasked', async () => {
    const { code, err } = await frugal(['pretrain', at('whole.yaml'), '--resume']);
    expect([code, err]).toEqual([1, expect.stringContaining('exists already')]);
  });

  it.each([
    [{ training: { sequence: 16 } }, /training: give either steps or tokens/],
    [{ training: { steps: 1, batchsize: 4 } }, /training: unknown batchsize \(known: steps, .*batch, /],
    [{ data: undefined }, /data: is missing/],
    [
      { training: { steps: 1, sequence: 4000 } },
      /\[training\.sequence\] .*: got 4000 tokens; expected at most/,
    ],
    [{ model: undefined, out: 5 }, /model: .*; out: /],
    [
      { model: { ...shape, vocab_size: 100 } },
      /vocabulary is too small for the tokenizer: got 100; expected 300/,
    ],
    [{ model: { ...shape, sliding: 4 } }, /sliding/],
    [
      { training: { steps: 1, sequence: 16, optimizer: { type: 'sophia' } } },
      /training\.optimizer.*unknown type sophia \(known: adamw, adamw8bit, sgd, muon, groups\)/,
    ],
    [
      { training: { steps: 1, learningRat: 1 } },
      /training: unknown learningRat; did you mean learningRate\?/,
    ],
    [
      { training: { steps: 1, optimizer: { type: 'adamw', weight_decay: 0.1 } } },
      /training\.optimizer: unknown weight_decay; did you mean weightDecay\?/,
    ],
    [
      {
        training: {
          steps: 1,
          optimizer: { type: 'groups', groups: [{ name: 'all', path: ['*'], optimizer: { type: 'sdg' } }] },
        },
      },
      /groups\.0.*unknown type sdg; did you mean sgd\?.*unknown path; did you mean paths\?/,
    ],
    [{ data: 'nowhere' }, /nowhere/],
  ])('explains bad settings %#', async (changes, message) => {
    const config = await writeConfig('bad', changes);
    const { code, err } = await frugal(['pretrain', config]);
    expect(err).toMatch(message);
    expect(code).toBe(1);
    await rm(at('bad.training'), { recursive: true, force: true });
  });

  it('refuses in a dry run what the run would refuse', async () => {
    const config = await writeConfig('long', {
      evaluation: { texts: ['corpus.jsonl'], every: 1, context: 4000 },
    });
    const { code, err } = await frugal(['pretrain', config, '--dry-run']);
    expect([code, err]).toEqual([1, expect.stringMatching(/\[evaluation\.context\].*got 4000 tokens/)]);
    const again = await frugal(['pretrain', at('whole.yaml'), '--dry-run']);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('exists already')]);
  });
});

describe('distill', () => {
  it('teaches a new student, and continues from a finished one', async () => {
    const student = { ...shape, num_hidden_layers: 1 };
    await writeFile(
      at('student.yaml'),
      JSON.stringify({ model: student, training: { steps: 4, sequence: 16, batch: 2 } }),
    );
    const args = ['distill', '--teacher', at('teacher'), '--data', at('packed'), '--json'];
    const first = JSON.parse(
      (await succeed([...args, '--student', at('student.yaml'), '--out', at('student')])).out,
    );
    expect(first).toMatchObject({ steps: 4, tokens: 4 * 32 });
    const manifest = JSON.parse(await readFile(at('student/frugal.json'), 'utf8'));
    expect(manifest).toMatchObject({ kind: 'distill', sources: [{ role: 'teacher' }, { role: 'student' }] });
    const more = [
      '--student',
      at('student'),
      '--out',
      at('student-2'),
      '--steps',
      '30',
      '--batch',
      '4',
      '--sequence',
      '16',
    ];
    const second = JSON.parse((await succeed([...args, ...more])).out);
    expect(second.loss).toBeLessThan(first.loss);
  });

  it('refuses a student with another tokenizer', async () => {
    await saveTinyModel(at('foreign'));
    const args = ['distill', '--teacher', at('teacher'), '--student', at('foreign'), '--data', at('packed')];
    const { code, err } = await frugal([...args, '--out', at('never'), '--steps', '1']);
    expect([code, err]).toEqual([1, expect.stringContaining('different tokenizers')]);
    expect(existsSync(at('never.training'))).toBe(false);
  });
});

describe('quantize and compress', () => {
  it('plans, quantizes, and the result still predicts nearly the same', async () => {
    const plan = JSON.parse(
      (await succeed(['quantize', at('teacher'), '--out', at('int8'), '--dry-run', '--json'])).out,
    );
    expect(plan.stages[0]).toMatchObject({ method: 'quant.rtn', sites: 15 });
    expect(existsSync(at('int8'))).toBe(false);
    const { out } = await succeed(['quantize', at('teacher'), '--out', at('int8')]);
    expect(out).toMatch(/int8: [\d.]+ kB → [\d.]+ kB \(−\d/);
    // What it tells are sizes of the files, also of one whose weights take twice as much memory as room on the disk.
    await succeed(['convert', at('teacher'), at('halves'), '--to', 'bf16']);
    const { weights } = JSON.parse(
      (await succeed(['quantize', at('halves'), '--out', at('eighths'), '--json'])).out,
    );
    const sizes = ['halves', 'eighths'].map(
      async (name) => (await stat(at(`${name}/model.safetensors`))).size,
    );
    expect([weights.before, weights.after]).toEqual(await Promise.all(sizes));
    const score = async (model: string) => {
      const args = ['perplexity', at(model), '--text', at('split/held-out.jsonl'), '--json'];
      return JSON.parse((await succeed(args)).out).nll;
    };
    expect(Math.abs((await score('int8')) - (await score('teacher')))).toBeLessThan(0.05);
    const inspected = JSON.parse((await succeed(['inspect', at('int8'), '--json'])).out);
    expect(inspected).toMatchObject({ quantization: 'compressed-tensors int-quantized', kind: 'compress' });
    expect(inspected.parameters).toBe(300 * 16 + 2 * 2208 + 16);
  });

  it('keeps activations precise when asked to', async () => {
    const logits = async (...options: string[]) =>
      (await succeed(['logits', at('int8'), '--ids', '1,2', '--json', ...options])).out;
    expect(await logits('--precise')).not.toBe(await logits());
  });

  it('runs a recipe from a file on chosen layers', async () => {
    const modifier = { type: 'quant.rtn', targets: { include: ['blocks.1.mlp.*'] }, format: 'int8-channel' };
    const recipe = { version: 1, seed: 0, stages: [{ name: 'mlp', modifiers: [modifier] }] };
    await writeFile(at('mlp.yaml'), JSON.stringify(recipe));
    const { out } = await succeed([
      'compress',
      at('teacher'),
      '--recipe',
      at('mlp.yaml'),
      '--out',
      at('partly'),
    ]);
    expect(out).toMatch(/mlp +quant\.rtn +3 /);
    const { formats } = JSON.parse((await succeed(['inspect', at('partly'), '--json'])).out);
    expect(formats.I8).toBe(3 * 16 * 24);
  });

  it.each([
    [{ version: 2 }, /is not a recipe/],
    [
      {
        version: 1,
        seed: 0,
        stages: [{ name: 'a', modifiers: [{ type: 'quant.magic', targets: { include: ['**'] } }] }],
      },
      /unknown method: got quant\.magic/,
    ],
    [
      {
        version: 1,
        seed: 0,
        stages: [
          {
            name: 'a',
            modifiers: [{ type: 'quant.rtn', targets: { include: ['nothing'] }, format: 'int8-channel' }],
          },
        ],
      },
      /finds no linear at nothing/,
    ],
    [
      {
        version: 1,
        seed: 0,
        stages: [{ name: 'a', modifiers: [{ type: 'distill.logits', targets: { include: ['**'] } }] }],
      },
      /needs a teacher; .*needs a trainer/,
    ],
  ])('explains a bad recipe %#', async (recipe, message) => {
    await writeFile(at('bad-recipe.yaml'), JSON.stringify(recipe));
    for (const dryRun of [['--dry-run'], []]) {
      const { code, err } = await frugal([
        'compress',
        at('teacher'),
        '--recipe',
        at('bad-recipe.yaml'),
        '--out',
        at('no'),
        ...dryRun,
      ]);
      expect(err).toMatch(message);
      expect(code).toBe(1);
    }
    expect(existsSync(at('no'))).toBe(false);
  });
});
