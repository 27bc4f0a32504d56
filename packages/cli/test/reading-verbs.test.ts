import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensors } from '@frugal/checkpoint';
import { beforeAll, describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyTokenizer } from './support/tiny.js';

const folder = await temporaryFolder();
const model = join(folder, 'model');
const text = join(folder, 'text.txt');

beforeAll(async () => {
  await saveTinyModel(model);
  await writeFile(text, corpus.join('\n'));
});

describe('inspect', () => {
  it('counts parameters and bytes', async () => {
    const { code, out } = await frugal(['inspect', model, '--json']);
    expect(code).toBe(0);
    const found = JSON.parse(out);
    const parameters = 300 * 16 + 2 * (4 * 16 ** 2 + 3 * 16 * 24 + 2 * 16) + 16;
    expect(found).toMatchObject({
      architecture: 'LlamaForCausalLM',
      parameters,
      bytes: 4 * parameters,
      formats: { F32: 4 * parameters },
      contextLength: 64,
      vocabularySize: 300,
      tokenizer: { vocabularySize: tinyTokenizer.vocabularySize, bos: '<|endoftext|>' },
    });
    expect(found.parts.map(({ name }: { name: string }) => name)).toEqual([
      'model.embed_tokens',
      'model.layers.0',
      'model.layers.1',
      'model.norm',
    ]);
  });

  it('folds equal layers into one line', async () => {
    const { out } = await frugal(['inspect', model]);
    expect(out).toContain('LlamaForCausalLM');
    expect(out).toMatch(/model\.layers\.0–1 \(each\) +2,208 +8\.83 kB +F32/);
  });
});

describe('logits', () => {
  it('writes the file that parity checks read', async () => {
    const file = join(folder, 'logits.safetensors');
    const { code } = await frugal(['logits', model, '--ids', '5, 6,7', '--out', file]);
    expect(code).toBe(0);
    const tensors = await openSafetensors(file);
    expect(tensors.entries.get('ids')).toMatchObject({ dtype: 'I32', shape: [3] });
    expect(tensors.entries.get('logits')).toMatchObject({ dtype: 'F32', shape: [3, 300] });
    expect([...new Int32Array((await tensors.read('ids')).buffer)]).toEqual([5, 6, 7]);
    const { out } = await frugal(['logits', model, '--ids', '5,6,7', '--json']);
    const { ids, logits } = JSON.parse(out);
    expect(ids).toEqual([5, 6, 7]);
    expect(logits.flat()).toEqual([...new Float32Array((await tensors.read('logits')).buffer)]);
    await tensors.close();
  });

  it('never replaces a file unasked', async () => {
    const file = join(folder, 'precious.safetensors');
    await writeFile(file, 'precious');
    const refused = await frugal(['logits', model, '--ids', '1', '--out', file]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('--force');
    expect(await readFile(file, 'utf8')).toBe('precious');
    expect((await frugal(['logits', model, '--ids', '1', '--out', file, '--force'])).code).toBe(0);
  });

  it('prints the most likely tokens, and does not depend on the positions behind', async () => {
    const long = await frugal(['logits', model, '--ids', '1,2,3']);
    const short = await frugal(['logits', model, '--ids', '1,2']);
    expect(long.out.split('\n').slice(0, 4)).toEqual(short.out.split('\n').slice(0, 4));
  });

  it.each([
    ['300', 1, 'out of range'],
    [Array(65).fill(1).join(','), 1, 'at most 64'],
    ['1,x', 2, 'integer'],
    ['', 2, 'integer'],
    ['-1', 2, 'integer'],
  ])('refuses ids %s', async (ids, code, message) => {
    const outcome = await frugal(['logits', model, `--ids=${ids}`]);
    expect(outcome.err).toContain(message);
    expect(outcome.code).toBe(code);
  });
});

describe('generate', () => {
  const args = ['generate', model, '--prompt', 'Fellow 曹操', '--max-tokens', '12'];

  it('gives ids and text, greedy and with a seed', async () => {
    const { code, out, err } = await frugal([...args, '--json']);
    expect(code).toBe(0);
    const { promptIds, ids, text: continued } = JSON.parse(out);
    expect(promptIds).toEqual([...tinyTokenizer.encode('Fellow 曹操')]);
    expect(ids.length).toBeLessThanOrEqual(12);
    expect(continued).toBe(tinyTokenizer.decode(ids, { skipSpecialTokens: true }));
    expect(err).toMatch(/12 tokens, [\d.]+ tok\/s/);
    const sampled = [...args, '--json', '--temperature', '1.5', '--seed'];
    const [a, b, c] = [
      await frugal([...sampled, '1']),
      await frugal([...sampled, '1']),
      await frugal([...sampled, '2']),
    ];
    expect(a.out).toBe(b.out);
    expect(a.out).not.toBe(c.out);
    expect(a.out).not.toBe(out);
  });

  it('streams prompt and continuation', async () => {
    const { text: continued } = JSON.parse((await frugal([...args, '--json'])).out);
    const { out } = await frugal(args);
    expect(out).toBe(`Fellow 曹操${continued}\n`);
  });

  it.each([
    [['--max-tokens', '0'], 2],
    [['--temperature', '-1'], 2],
    [['--top-p', '1.5'], 2],
    [['--max-tokens', '60'], 1],
  ])('refuses %j', async (options, code) => {
    const outcome = await frugal(['generate', model, '--prompt', 'Fellow citizens', ...options]);
    expect([outcome.code, outcome.out]).toEqual([code, '']);
  });

  it('says what to do about a prompt that is too long', async () => {
    const { code, out, err } = await frugal(['generate', model, '--prompt', 'x'.repeat(100)]);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/^error: \[generate\] the prompt fills the context .*Shorten it\.\n$/);
  });

  it('ends with 130 when it is interrupted', async () => {
    const { Interrupted } = await import('../src/errors.js');
    const { code, err } = await frugal(args, { signal: AbortSignal.abort(new Interrupted()) });
    expect([code, err]).toEqual([130, 'Stopped.\n']);
  });
});

describe('perplexity', () => {
  it('gives the numbers that others compare with', async () => {
    const { code, out } = await frugal(['perplexity', model, '--text', text, '--context', '32', '--json']);
    expect(code).toBe(0);
    const result = JSON.parse(out);
    expect(Object.keys(result).sort()).toEqual(['bitsPerByte', 'nll', 'perplexity', 'tokens']);
    const ids = tinyTokenizer.encode(corpus.join('\n'));
    expect(result.tokens).toBe(ids.length - Math.ceil(ids.length / 32));
    expect(result.perplexity).toBeCloseTo(Math.exp(result.nll), 8);
    // A random model is about as good as guessing.
    expect(result.nll).toBeGreaterThan(Math.log(300) - 1);
    expect(result.nll).toBeLessThan(Math.log(300) + 1);
  });

  it('prints a table', async () => {
    const { out } = await frugal(['perplexity', model, '--text', text]);
    expect(out.split('\n')[0]).toMatch(/perplexity +bits\/byte +nats\/token +tokens/);
  });

  it('refuses missing and broken texts', async () => {
    const missing = await frugal(['perplexity', model, '--text', join(folder, 'nowhere.txt')]);
    expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('no such file')]);
    await writeFile(join(folder, 'latin1.txt'), Buffer.from('caf\xe9', 'latin1'));
    const broken = await frugal(['perplexity', model, '--text', join(folder, 'latin1.txt')]);
    expect([broken.code, broken.err]).toEqual([1, expect.stringContaining('not UTF-8')]);
  });
});

describe('bench', () => {
  it('measures speed, memory and loading', async () => {
    const { code, out } = await frugal(['bench', model, '--new-tokens', '4', '--repeats', '2', '--json']);
    expect(code).toBe(0);
    const result = JSON.parse(out);
    for (const key of ['prefillTokensPerSecond', 'decodeTokensPerSecond', 'loadSeconds', 'residentBytes']) {
      expect(result[key], key).toBeGreaterThan(0);
    }
    expect(result).toMatchObject({
      backend: 'reference',
      threads: 1,
      promptTokens: 32,
      newTokens: 4,
      repeats: 2,
    });
  });

  it('prints them with the machine', async () => {
    const { out } = await frugal(['bench', model, '--new-tokens', '4', '--repeats', '1']);
    expect(out).toMatch(/prefill +32/);
    expect(out).toContain(process.version);
  });
});
