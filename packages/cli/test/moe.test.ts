import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  await saveTinyModel(at('dense'));
  await writeFile(at('english.txt'), corpus[0]);
  await writeFile(at('chinese.txt'), corpus[2]);
});

async function succeed(...args: string[]) {
  const { code, out, err } = await frugal(args);
  expect(code, err).toBe(0);
  return out;
}

async function fail(...args: string[]) {
  const { code, err } = await frugal(args);
  expect(code, err).not.toBe(0);
  return { code, err };
}

describe('moe upcycle', () => {
  const numbers = ['--experts', '8', '--active', '4', '--fine-grained', '4'];

  it('writes a sparse model that computes what the dense one does', async () => {
    const text = ['--text', at('english.txt'), at('chinese.txt'), '--tokens', '128'];
    const { parameters, logits, architecture } = JSON.parse(
      await succeed('moe', 'upcycle', at('dense'), ...numbers, ...text, '--out', at('sparse'), '--json'),
    );
    expect(architecture).toBe('MixtralForCausalLM');
    expect(logits.difference).toBeLessThan(1e-4 * logits.largest);
    const found = JSON.parse(await succeed('inspect', at('sparse'), '--json'));
    expect(found).toMatchObject({ architecture, parameters });
    const say = (model: string) =>
      succeed('generate', at(model), '--prompt', 'Fellow', '--max-tokens', '8', '--temperature', '0');
    expect(await say('sparse')).toBe(await say('dense'));
  });

  it('plans without writing, and says how far noise leads away', async () => {
    const planned = await succeed(
      'moe',
      'upcycle',
      at('dense'),
      ...numbers,
      '--out',
      at('planned'),
      '--dry-run',
    );
    expect(planned).toMatch(/Would write .*8 experts of 6 neurons, 4 per token/);
    await fail('inspect', at('planned'));
    const noisy = ['--noise', '0.3', '--router', 'random', '--out', at('noisy'), '--json'];
    const { logits } = JSON.parse(await succeed('moe', 'upcycle', at('dense'), ...numbers, ...noisy));
    expect(logits.difference).toBeGreaterThan(1e-4 * logits.largest);
  });

  it.each<[string, string[], number, RegExp]>([
    [
      'k > experts',
      ['--experts', '2', '--active', '4', '--fine-grained', '2'],
      1,
      /more experts per token than there are: got 4/,
    ],
    [
      'pieces that do not divide',
      ['--experts', '5', '--active', '5', '--fine-grained', '5'],
      1,
      /5 of 24 neurons/,
    ],
    ['half copies', ['--experts', '8', '--active', '3', '--fine-grained', '4'], 1, /a multiple of 4/],
    ['clusters without text', ['--experts', '4', '--active', '2', '--router', 'cluster'], 2, /needs --text/],
  ])('refuses %s', async (_, args, code, message) => {
    const failure = await fail('moe', 'upcycle', at('dense'), ...args, '--out', at('refused'));
    expect(failure.err).toMatch(message);
    expect(failure.code).toBe(code);
  });
});

describe('moe inspect', () => {
  it('tells loads, entropies and specialization by domain, and draws them', async () => {
    await succeed(
      'moe',
      'upcycle',
      at('dense'),
      '--experts',
      '4',
      '--active',
      '1',
      '--seed',
      '3',
      '--out',
      at('routed'),
    );
    const texts = ['--text', `speech=${at('english.txt')}`, at('chinese.txt')];
    const page = at('routing.html');
    const out = await succeed('moe', 'inspect', at('routed'), ...texts, '--html', page, '--json');
    const { layers } = JSON.parse(out);
    expect(layers.map(({ path }: { path: string }) => path)).toEqual(['blocks.0.mlp', 'blocks.1.mlp']);
    for (const layer of layers) {
      expect(layer.domains.map(({ name }: { name: string }) => name)).toEqual(['speech', 'chinese']);
      for (const { load } of [layer, ...layer.domains])
        expect(load.reduce((sum: number, share: number) => sum + share)).toBeCloseTo(1, 6);
      expect(layer.specialization).toBeGreaterThan(0.01);
      expect(layer.specialization).toBeLessThanOrEqual(1);
    }
    const html = await readFile(page, 'utf8');
    expect(html.match(/<svg/g)).toHaveLength(3);
    expect(html).toContain('blocks.1.mlp');
    expect((await fail('moe', 'inspect', at('routed'), ...texts, '--html', page)).err).toContain('--force');
    expect(await succeed('moe', 'inspect', at('routed'), ...texts)).toMatch(/1 of 4/);
  });

  it.each<[string, string, string[], RegExp]>([
    ['a dense model', 'dense', ['english.txt'], /all of its layers are dense/],
    ['a name without a file', 'dense', ['english='], /no file behind the name/],
    ['a missing file', 'dense', ['absent.txt'], /absent\.txt/],
  ])('refuses %s', async (_, model, [file], message) => {
    const text = file.endsWith('=') ? file : at(file);
    expect((await fail('moe', 'inspect', at(model), '--text', text)).err).toMatch(message);
  });
});
