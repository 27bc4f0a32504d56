import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadModel, saveModel } from '@frugal/models';
import { loadTokenizer } from '@frugal/tokenizers';
import { beforeAll, describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { frugal, type Outcome } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder } from './support/tiny.js';

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

beforeAll(async () => {
  await saveTinyModel(at('teacher'));
  const texts = corpus.flatMap((text, i) => Array.from({ length: 8 }, (_, j) => `${i}.${j} ${text}`));
  await writeFile(at('corpus.jsonl'), texts.map((text) => JSON.stringify({ text })).join('\n'));
  await succeed(['data', 'pack', at('corpus.jsonl'), '--tokenizer', at('teacher'), '--out', at('packed')]);
});

const onlyFirstBlock = {
  version: 1,
  seed: 0,
  stages: [
    {
      name: 'block',
      modifiers: [{ type: 'quant.rtn', targets: { include: ['blocks.0.**'] }, format: 'int8-channel' }],
    },
  ],
};

describe('compress', () => {
  it('trains in a stage of a recipe, taught by the model before, and goes on byte by byte', async () => {
    const blocks = { include: ['blocks.**'] };
    const stages = [
      { name: 'cut', modifiers: [{ type: 'prune.ffn', targets: blocks, keep: 0.5 }] },
      {
        name: 'heal',
        modifiers: [{ type: 'distill.logits', targets: { include: ['blocks.*'] } }],
        training: { steps: 4, sequence: 16, batch: 2, optimizer: 'adamw', learningRate: 1e-3 },
      },
      {
        name: 'zeros',
        modifiers: [
          {
            type: 'prune.gradual',
            targets: { include: ['blocks.*.mlp.*'] },
            sparsity: 0.5,
            steps: 3,
            every: 1,
          },
        ],
        training: { steps: 4, sequence: 16, batch: 2, optimizer: 'adamw', learningRate: 1e-3 },
      },
      { name: 'int8', modifiers: [{ type: 'quant.rtn', targets: blocks, format: 'int8-channel' }] },
    ];
    await writeFile(at('cheap.yaml'), JSON.stringify({ version: 1, seed: 0, stages }));
    const args = ['compress', at('teacher'), '--recipe', at('cheap.yaml'), '--data', at('packed')];
    args.push('--calibration', at('corpus.jsonl'), '--calibration-tokens', '200');
    const plan = JSON.parse((await succeed([...args, '--out', at('cheap'), '--dry-run', '--json'])).out);
    expect(plan.stages.map(({ name }: { name: string }) => name)).toEqual(['cut', 'heal', 'zeros', 'int8']);
    const { out } = await succeed([...args, '--out', at('cheap')]);
    expect(out).toMatch(/heal +distill\.logits/);
    expect(existsSync(at('cheap.training/stage-1.jsonl'))).toBe(true);
    expect(existsSync(at('cheap.unfinished'))).toBe(false);
    expect(await interrupt([...args, '--out', at('cheap-again')])).not.toBe(0);
    expect(existsSync(at('cheap-again'))).toBe(false);
    await succeed([...args, '--out', at('cheap-again'), '--resume']);
    const weights = (name: string) => readFile(at(join(name, 'model.safetensors')));
    expect(await weights('cheap-again')).toEqual(await weights('cheap'));
    const { code, err } = await frugal([
      'quantize',
      at('teacher'),
      '--data',
      at('packed'),
      '--out',
      at('no'),
    ]);
    expect([code, err]).toEqual([2, expect.stringContaining('no stage of the recipe trains')]);
  });

  it('keeps the dtype of the model in what is not packed', async () => {
    const model = await loadModel(at('teacher'));
    await saveModel(model, at('bf16'), {
      dtype: 'bf16',
      tokenizerFiles: (await loadTokenizer(at('teacher'))).files(),
    });
    await writeFile(at('block.yaml'), JSON.stringify(onlyFirstBlock));
    for (const name of ['teacher', 'bf16'])
      await succeed(['compress', at(name), '--recipe', at('block.yaml'), '--out', at(`${name}-block`)]);
    const formats = async (name: string) =>
      JSON.parse((await succeed(['inspect', at(`${name}-block`), '--json'])).out).formats;
    expect(await formats('bf16')).toMatchObject({ BF16: expect.any(Number) });
    expect(await formats('teacher')).not.toHaveProperty('BF16');
    const bytes = async (name: string) => (await stat(at(`${name}-block/model.safetensors`))).size;
    expect(await bytes('bf16')).toBeLessThan(0.65 * (await bytes('teacher')));
  });
});
