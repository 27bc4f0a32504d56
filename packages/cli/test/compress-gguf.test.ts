import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  await saveTinyModel(at('model'));
  await frugal(['convert', at('model'), at('model.gguf')]);
});

it('compress takes a GGUF file as the folder that it was made from', async () => {
  for (const source of ['model', 'model.gguf']) {
    const args = ['compress', at(source), '--recipe', 'int8', '--out', at(`${source}-int8`)];
    const planned = await frugal([...args, '--dry-run']);
    expect(planned.code, planned.err).toBe(0);
    expect(planned.out).toContain('quant.rtn');
    const { code, err } = await frugal(args);
    expect(code, err).toBe(0);
  }
  const weights = (name: string) => readFile(at(`${name}-int8/model.safetensors`), 'base64');
  expect(await weights('model.gguf')).toBe(await weights('model'));
});

it('says which layers of a GGUF file are packed already', async () => {
  const wide = { hidden_size: 32, intermediate_size: 64, num_attention_heads: 2 };
  await saveTinyModel(at('wide'), { ...tinyConfig, ...wide });
  const made = await frugal(['convert', at('wide'), at('wide.gguf'), '--to', 'q8_0']);
  expect(made.code, made.err).toBe(0);
  const args = ['compress', at('wide.gguf'), '--recipe', 'int8', '--out', at('never'), '--dry-run'];
  const { code, err } = await frugal(args);
  expect([code, err]).toEqual([1, expect.stringMatching(/blocks\.0\.attention\.query is packed already/)]);
});
