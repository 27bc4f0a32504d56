import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { saveTinyModel, temporaryFolder, tinyConfig } from './support/tiny.js';

const folder = await temporaryFolder();
const model = await saveTinyModel(join(folder, 'tiny'));

interface Result {
  readonly promptIds: number[];
  readonly ids: number[];
  readonly text: string;
  readonly logprobs?: { readonly id: number; readonly logprob: number; readonly top: { id: number }[] }[];
}

async function generate(...options: string[]): Promise<Result> {
  const args = ['generate', model, '--prompt', 'Fellow', '--max-tokens', '24', '--json', ...options];
  const { code, out, err } = await frugal(args);
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

describe('generate', () => {
  it('gives the same text with a draft, and says how much was guessed', async () => {
    const small = await saveTinyModel(join(folder, 'small'), { ...tinyConfig, num_hidden_layers: 1 });
    for (const sampling of [[], ['--temperature', '1.2', '--seed', '5']]) {
      const plain = await generate(...sampling);
      for (const draft of ['lookup', small, model])
        expect(await generate(...sampling, '--draft', draft, '--draft-tokens', '3')).toEqual(plain);
    }
    const { err } = await frugal(['generate', model, '--prompt', 'Fellow', '--draft', model]);
    expect(err).toMatch(/tokens, [\d.]+ tok\/s, \d+ of them guessed\n$/);
  });

  it('refuses to predict where the model cannot', async () => {
    const { code, err } = await frugal(['generate', model, '--prompt', 'x', '--draft', 'mtp']);
    expect([code, err]).toEqual([1, expect.stringContaining('no blocks for multi-token prediction')]);
  });

  it('refuses a draft with another tokenizer', async () => {
    const other = await saveTinyModel(join(folder, 'other'), tinyConfig, 1, ['other text']);
    const { code, err } = await frugal(['generate', model, '--prompt', 'x', '--draft', other]);
    expect([code, err]).toEqual([1, expect.stringContaining('different tokenizers')]);
  });

  it('ends before a stop text, wherever tokens are cut', async () => {
    const { text } = await generate();
    for (const [start, end] of [
      [3, 5],
      [1, 9],
    ]) {
      const stop = text.slice(start, end);
      expect((await generate('--stop', 'never this', stop)).text).toBe(text.slice(0, text.indexOf(stop)));
    }
  });

  it('reports log probabilities where asked', async () => {
    const { ids, logprobs } = await generate('--logprobs', '2');
    expect(logprobs?.map(({ id }) => id)).toEqual(ids);
    for (const { id, top } of logprobs ?? []) expect([id, top.length]).toEqual([top[0].id, 2]);
    expect((await generate()).logprobs).toBeUndefined();
  });

  it('writes documents of a JSON schema, with a draft too', async () => {
    const file = join(folder, 'schema.json');
    const properties = { name: { type: 'string' }, ok: { type: 'boolean' } };
    await writeFile(file, JSON.stringify({ type: 'object', properties, required: ['name', 'ok'] }));
    const options = ['--json-schema', file, '--temperature', '2', '--max-tokens', '40'];
    const { text } = await generate(...options);
    expect(JSON.parse(text)).toEqual({ name: expect.any(String), ok: expect.any(Boolean) });
    expect((await generate(...options, '--draft', model)).text).toBe(text);
    for (const [schema, message] of [
      ['{"type": "array", "contains": {}}', 'the keyword contains is not supported'],
      [`{"type": "string", "minLength": 4000}`, 'does not fit into the tokens'],
      ['{', 'the schema cannot be read'],
    ]) {
      await writeFile(file, schema);
      const { code, err } = await frugal(['generate', model, '--prompt', 'x', ...options]);
      expect([code, err]).toEqual([1, expect.stringContaining(message)]);
    }
  });

  it('computes some blocks on another backend', async () => {
    expect(await generate('--place', 'reference=0', '--place', 'reference=1')).toEqual(await generate());
    const refusal = async (place: string) =>
      (await frugal(['generate', model, '--prompt', 'x', '--place', place])).err;
    expect(await refusal('tpu=0-1')).toContain(
      'a backend (cuda, ascend, cpu, reference) and blocks: cuda=0-11',
    );
    expect(await refusal('reference=0-99')).toContain('no such blocks');
  });

  it('takes penalties and other caches', async () => {
    const { ids } = await generate('--presence-penalty', '50');
    expect(new Set(ids).size).toBe(ids.length);
    const plain = await generate();
    expect((await generate('--cache-dtype', 'f32')).ids).toEqual(plain.ids);
    for (const dtype of ['bf16', 'q8'])
      expect((await generate('--cache-dtype', dtype)).ids).toHaveLength(plain.ids.length);
  });
});
