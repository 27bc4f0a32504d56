import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadCpuBackend } from '@frugal/backend-cpu';
import { openSafetensors } from '@frugal/checkpoint';
import { attachAdapters, saveAdapter } from '@frugal/lora';
import { huggingFaceNames, loadModel, saveModel } from '@frugal/models';
import { noGrad, Random, scope } from '@frugal/tensor-core';
import { nextTokenBatch } from '@frugal/tensor-core/nn';
import { AdamW, constant, languageModelLoss, train } from '@frugal/trainer';
import { beforeAll, describe, expect, it } from 'vitest';
import { frugal } from './support/terminal.js';
import { corpus, saveTinyModel, temporaryFolder, tinyTokenizer } from './support/tiny.js';

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

  it('asks for no tokenizer where there is no text', async () => {
    await cp(at('dense'), at('mute'), { recursive: true });
    for (const name of (await readdir(at('mute'))).filter((file) => file.startsWith('tokenizer')))
      await rm(join(at('mute'), name));
    await succeed('moe', 'upcycle', at('mute'), ...numbers, '--out', at('mute-sparse'));
    const text = ['--text', at('english.txt'), '--out', at('mute-clustered')];
    expect((await fail('moe', 'upcycle', at('mute'), ...numbers, ...text)).err).toMatch(/tokenizer/);
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

describe('generate --expert-memory', () => {
  it('says the same with a part of the experts in memory', async (context) => {
    if (!(await loadCpuBackend().catch(() => null))) return context.skip('needs the native addon');
    const numbers = ['--experts', '8', '--active', '4', '--fine-grained', '4'];
    await succeed('moe', 'upcycle', at('dense'), ...numbers, '--out', at('offloaded'));
    const say = (...more: string[]) =>
      frugal([
        'generate',
        at('offloaded'),
        '--prompt',
        'Fellow',
        '--max-tokens',
        '8',
        '--backend',
        'cpu',
        ...more,
      ]);
    const [limited, whole] = [await say('--expert-memory', '20kB'), await say()];
    expect(limited.code, limited.err).toBe(0);
    expect(limited.out).toBe(whole.out);
    expect(limited.err).toMatch(/experts: [\d.]+ kB in memory, [\d.]+ % of those needed were there/);
    const run = ['--prompt', 'Fellow', '--backend', 'cpu', '--expert-memory'];
    const dense = await fail('generate', at('dense'), ...run, '20kB');
    expect(dense.err).toMatch(/all of its layers are dense/);
    const small = await fail('generate', at('offloaded'), ...run, '20');
    expect(small.err).toMatch(/a single expert does not fit.*20 bytes/s);
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

describe('moe mix', () => {
  /** The dense model with other feed-forward layers, trained a little on a text. */
  async function saveSpecialist(name: string, text: string, changes: object = {}): Promise<void> {
    const model = await loadModel(at('dense'));
    for (const [path, parameter] of model.namedParameters()) parameter.trainable = /\.mlp\./.test(path);
    const ids = tinyTokenizer.encode(text).slice(0, 32);
    const events = train({
      model,
      batches: { next: () => nextTokenBatch([ids]), state: () => null, restore: () => {} },
      loss: languageModelLoss(model),
      optimizer: new AdamW(),
      schedule: constant({ peak: 0.02 }),
      steps: 12,
    });
    for await (const _ of events);
    await saveModel(model, at(name), { tokenizerFiles: tinyTokenizer.files(), force: true, ...changes });
  }

  beforeAll(async () => {
    await saveSpecialist('english', corpus[0]);
    await saveSpecialist('chinese', corpus[2]);
    await saveSpecialist('peace', corpus[1]);
    await writeFile(at('peace.txt'), corpus[1]);
  });

  const texts = ['--text', at('english.txt'), at('chinese.txt')];
  const wide = ['--margin', '0.5'];

  it('mixes specialists, then adds one without touching the old gates', async () => {
    const mixed = JSON.parse(
      await succeed(
        'moe',
        'mix',
        at('dense'),
        at('english'),
        at('chinese'),
        ...texts,
        ...wide,
        '--out',
        at('mixed'),
        '--json',
      ),
    );
    expect(mixed.experts).toEqual(['english', 'chinese']);
    for (const { base, before, after } of mixed.domains) {
      expect(before).toBeLessThan(base); // the specialists know more
      expect(after).toBeLessThan(base);
      expect(Math.abs(after - before)).toBeLessThan(0.5 * (base - before));
    }
    expect(JSON.parse(await succeed('inspect', at('mixed'), '--json')).architecture).toBe(
      'MixtralForCausalLM',
    );
    const larger = ['--text', at('english.txt'), at('chinese.txt'), at('peace.txt')];
    const extended = JSON.parse(
      await succeed(
        'moe',
        'mix',
        at('mixed'),
        at('peace'),
        ...larger,
        ...wide,
        '--out',
        at('larger'),
        '--json',
      ),
    );
    expect(extended.experts).toEqual(['english', 'chinese', 'peace']);
    const gate = async (name: string) => {
      const source = await openSafetensors(join(at(name), 'model.safetensors'));
      const bytes = await source.read('model.layers.0.block_sparse_moe.gate.weight');
      await source.close();
      return bytes;
    };
    const before = await gate('mixed');
    expect((await gate('larger')).subarray(0, before.length)).toEqual(before);
  });

  it('takes adapters of the base', async () => {
    const model = await loadModel(at('dense'));
    const adapters = attachAdapters(model, { targets: { include: ['blocks.*.mlp.*'] }, rank: 2 });
    for (const parameter of adapters.parameters())
      parameter.value = noGrad(() => scope(() => new Random(3).normal(parameter.shape).mul(0.1)));
    const names = huggingFaceNames(model.config);
    await saveAdapter(adapters, at('adapter'), { names });
    const args = [
      'moe',
      'mix',
      at('dense'),
      `english=${at('adapter')}`,
      at('chinese'),
      ...texts,
      '--dry-run',
    ];
    expect(await succeed(...args, '--out', at('nowhere'))).toMatch(
      /Would write .*2 experts, english, chinese/,
    );
    adapters.detach();
    const wrong = attachAdapters(model, { targets: { include: ['blocks.*.attention.*'] }, rank: 2 });
    for (const parameter of wrong.parameters())
      parameter.value = noGrad(() => scope(() => new Random(3).normal(parameter.shape).mul(0.1)));
    await saveAdapter(wrong, at('attention'), { names });
    const failure = await fail(
      'moe',
      'mix',
      at('dense'),
      `english=${at('attention')}`,
      at('chinese'),
      ...texts,
      '--out',
      at('no'),
    );
    expect(failure.err).toMatch(/feed-forward layers alone.*attention/s);
  });

  it('writes nothing when a domain gets worse than the margin allows', async () => {
    const old = await succeed(
      'moe',
      'mix',
      at('dense'),
      at('english'),
      at('chinese'),
      ...texts,
      ...wide,
      '--force',
      '--out',
      at('mixed'),
    );
    expect(old).toMatch(/2 experts/);
    // A new domain that is an old one, with an expert that does not know it: gates must hurt the old domain.
    await saveSpecialist('bad', corpus[2]);
    const bad = ['moe', 'mix', at('mixed'), `bad=${at('bad')}`, ...texts, `bad=${at('english.txt')}`];
    const failure = await fail(...bad, '--margin', '0', '--out', at('worse'));
    expect(failure.err).toMatch(/worse than what it extends.*nothing was written.*english .* → /s);
    await fail('inspect', at('worse'));
  });

  it('refuses other tokenizers, models that differ elsewhere, and texts that do not match', async () => {
    await saveTinyModel(at('foreign'), undefined, 1, ['an entirely different text '.repeat(40)]);
    await saveTinyModel(at('other'), undefined, 7);
    const mix = (specialist: string, ...text: string[]) =>
      fail(
        'moe',
        'mix',
        at('dense'),
        at('english'),
        specialist,
        '--text',
        at('english.txt'),
        ...text,
        '--out',
        at('no'),
      );
    const chinese = `x=${at('chinese.txt')}`;
    expect((await mix(`x=${at('foreign')}`, chinese)).err).toMatch(/another tokenizer.*ModelRouter/s);
    expect((await mix(`x=${at('other')}`, chinese)).err).toMatch(/feed-forward layers alone.*embed\.weight/s);
    expect((await mix(at('chinese'), chinese)).err).toMatch(
      /every expert needs text.*got english, x; expected english, chinese/s,
    );
    expect((await mix(`english=${at('chinese')}`)).err).toMatch(/two experts have one name: got english/);
  });
});
