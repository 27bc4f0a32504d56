import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openCheckpoint } from '@frugal/checkpoint';
import { encoderUse } from '@frugal/models';
import { beforeAll, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyEncoder, temporaryFolder } from './support/tiny.js';

/** How sentence-transformers lays a model out beside what transformers reads. */
const sentenceFiles = {
  'modules.json': [
    { idx: 0, name: '0', path: '', type: 'sentence_transformers.models.Transformer' },
    { idx: 1, name: '1', path: '1_Pooling', type: 'sentence_transformers.models.Pooling' },
    { idx: 2, name: '2', path: '2_Normalize', type: 'sentence_transformers.models.Normalize' },
  ],
  '1_Pooling/config.json': { word_embedding_dimension: 32, pooling_mode_cls_token: true },
  'sentence_bert_config.json': { max_seq_length: 48, do_lower_case: false },
  'config_sentence_transformers.json': { prompts: { query: 'query: ' }, default_prompt_name: 'query' },
};
const folder = await temporaryFolder();
const original = join(folder, 'original');
const halfEmpty = join(folder, 'half-empty.json');
beforeAll(async () => {
  const modifiers = [{ type: 'prune.magnitude', targets: { include: ['blocks.**'] }, sparsity: 0.5 }];
  await writeFile(halfEmpty, JSON.stringify({ version: 1, seed: 0, stages: [{ name: 'prune', modifiers }] }));
  await saveTinyEncoder(original);
  for (const [name, json] of Object.entries(sentenceFiles)) {
    await mkdir(dirname(join(original, name)), { recursive: true });
    await writeFile(join(original, name), JSON.stringify(json));
  }
});

async function describeFolder(path: string) {
  const checkpoint = await openCheckpoint(path);
  try {
    const names = Object.keys(sentenceFiles);
    const files = await Promise.all(names.map(async (name) => [name, await checkpoint.readJson(name)]));
    return { use: await encoderUse(checkpoint), files: Object.fromEntries(files) };
  } finally {
    await checkpoint.close();
  }
}

it.each([
  ['convert', (out: string) => ['convert', original, out, '--to', 'bf16']],
  ['quantize', (out: string) => ['quantize', original, '--out', out]],
  ['prune', (out: string) => ['prune', original, '--recipe', halfEmpty, '--out', out]],
])('%s keeps how an encoder makes a vector of a text', async (verb, args) => {
  const out = join(folder, verb);
  expect(await frugal(args(out))).toMatchObject({ code: 0, err: '' });
  const expected = await describeFolder(original);
  expect(expected.use).toMatchObject({ pooling: 'first', normalize: true, prefix: 'query: ' });
  expect(await describeFolder(out)).toEqual(expected);
});

it('refuses what needs a language model, and says so', async () => {
  const text = join(folder, 'text.txt');
  await writeFile(text, corpus[0]);
  const { code, err } = await frugal([
    'quantize',
    original,
    ...['--recipe', 'int4-gptq', '--calibration', text, '--out', join(folder, 'never')],
  ]);
  expect(err).toMatch(/this is an encoder, not a language model/);
  expect(code).toBe(1);
});
