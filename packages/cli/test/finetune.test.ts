import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openCheckpoint, openSafetensors } from '@frugal/checkpoint';
import { createModel, saveModel } from '@frugal/models';
import { noGrad } from '@frugal/tensor-core';
import type { Embedding } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { Interrupted } from '../src/errors.js';
import { frugal, type Outcome } from './support/terminal.js';
import { corpus, temporaryFolder, tinyConfig, tinyTokenizer } from './support/tiny.js';

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const base = at('base');
// Untrained embeddings are too short for adapters alone to move the logits of their tied head.
const model = createModel(tinyConfig, { seed: 1 });
const embedding = model.module('embed') as Embedding;
embedding.weight.value = noGrad(() => embedding.weight.value.mul(30));
await saveModel(model, base, { tokenizerFiles: tinyTokenizer.files() });

const chats = ['Fellow', 'country', '却说'].map((word, i) => ({
  messages: [
    { role: 'user', content: `${word}?` },
    { role: 'assistant', content: `It is ${i}.` },
  ],
}));
await writeFile(at('chats.jsonl'), chats.map((chat) => JSON.stringify(chat)).join('\n'));
await writeFile(at('text.txt'), corpus.join('\n'));

async function succeed(...args: string[]): Promise<Outcome> {
  const outcome = await frugal([...args, '--json']);
  expect(outcome.code, outcome.err).toBe(0);
  return outcome;
}

const tune = (out: string, ...more: string[]) => [
  'finetune',
  base,
  '--data',
  at('chats.jsonl'),
  '--out',
  at(out),
  '--sequence',
  '32',
  '--batch',
  '3',
  ...more,
];

async function lossOf(...args: string[]): Promise<number> {
  return JSON.parse((await succeed('perplexity', ...args, '--context', '32')).out).nll;
}

describe('finetune', () => {
  it('says what it would do', async () => {
    const { out } = await succeed(...tune('planned', '--dry-run', '--rank', '2', '--epochs', '4'));
    // 2 layers: query, key, value, output 16 × 16; gate and up 16 → 24, down 24 → 16; all with rank 2
    const trainable = 2 * 2 * (4 * 32 + 3 * 40);
    expect(JSON.parse(out)).toMatchObject({
      kind: 'lora',
      trainable,
      steps: 4,
      conversations: 3,
      dropped: 0,
    });
    const { targets, tokensPerEpoch } = JSON.parse(out);
    expect(targets).toBeLessThan(tokensPerEpoch);
    expect(existsSync(at('planned'))).toBe(false);
    expect(existsSync(at('planned.training'))).toBe(false);
  });

  it('learns in a run of a single step, whose warm-up is a share of it', async () => {
    await succeed(...tune('once'));
    const weights = await openSafetensors(at('once/adapter_model.safetensors'));
    const names = [...weights.entries.keys()].filter((name) => name.includes('lora_B'));
    expect(names.length).toBeGreaterThan(0);
    // B begins at zero, and stays there without a step.
    for (const name of names) expect((await weights.read(name)).some((byte) => byte !== 0)).toBe(true);
    await weights.close();
  });

  it('teaches answers through an adapter, which the other verbs apply', async () => {
    const rates = ['--learning-rate', '0.02', '--steps', '60'];
    const { out } = await succeed(
      ...tune('adapter', ...rates, '--dora', '--targets', 'q_proj', 'down_proj', 'v_proj'),
    );
    expect(JSON.parse(out).loss).toBeLessThan(1);
    const config = JSON.parse(await readFile(at('adapter/adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ r: 16, lora_alpha: 32, use_dora: true, base_model_name_or_path: base });
    expect(config.target_modules).toHaveLength(6);
    const manifest = JSON.parse(await readFile(at('adapter/frugal.json'), 'utf8'));
    expect(manifest).toMatchObject({ kind: 'finetune lora', training: { steps: 60 } });
    const prompt = ['--prompt', 'country?', '--max-tokens', '6'];
    const text = async (...more: string[]) =>
      JSON.parse((await succeed('generate', base, ...prompt, ...more)).out).text;
    expect(await text('--adapter', at('adapter'))).toContain('It is');
    expect(await text()).not.toContain('It is');
  });

  it('trains a model whose blocks lie on two backends', async () => {
    const settings = ['--steps', '3', '--rank', '2'];
    const losses: number[] = [];
    for (const [name, ...more] of [['on-one'], ['on-two', '--place', 'reference=0']]) {
      for (const kind of ['--lora', '--full']) {
        const { out } = await succeed(...tune(name + kind, ...settings, kind, ...more));
        losses.push(JSON.parse(out).loss);
      }
    }
    for (const i of [0, 1]) expect(losses[i + 2]).toBeCloseTo(losses[i], 4);
    expect(await lossOf(at('on-two--full'), '--text', at('text.txt'))).toBeCloseTo(
      await lossOf(at('on-one--full'), '--text', at('text.txt')),
      3,
    );
  });

  it('begins with principal parts, which double the rank of what is saved', async () => {
    await succeed(...tune('pissa', '--steps', '2', '--pissa', '--lora-plus', '4', '--rank', '3'));
    const config = JSON.parse(await readFile(at('pissa/adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ r: 6, lora_alpha: 12 });
    const { training } = JSON.parse(await readFile(at('pissa/frugal.json'), 'utf8'));
    expect(training.optimizer.groups[0]).toMatchObject({ name: 'up', learningRate: 4 });
  });

  it('trains all weights of a packed model, on text', async () => {
    await succeed(
      'quantize',
      base,
      '--recipe',
      'int8',
      '--calibration',
      at('text.txt'),
      '--out',
      at('packed'),
    );
    const args = [
      '--data',
      at('text.txt'),
      '--full',
      '--steps',
      '30',
      '--learning-rate',
      '0.01',
      '--sequence',
      '16',
    ];
    const { out } = await succeed('finetune', at('packed'), ...args, '--out', at('tuned'));
    expect(JSON.parse(out)).toMatchObject({ kind: 'full', documents: 1, steps: 30 });
    const checkpoint = await openCheckpoint(at('tuned'));
    expect(checkpoint.config.quantization_config).toBeUndefined();
    await checkpoint.close();
    const [before, after] = [
      await lossOf(at('packed'), '--text', at('text.txt')),
      await lossOf(at('tuned'), '--text', at('text.txt')),
    ];
    expect(after).toBeLessThan(before - 1);
  });

  it('continues an interrupted run to the same adapter', async () => {
    await succeed(...tune('whole', '--steps', '5'));
    const controller = new AbortController();
    const stopped = await frugal(tune('cut', '--steps', '5'), {
      signal: controller.signal,
      onError: () => controller.abort(new Interrupted()),
    });
    expect(stopped.code).toBe(130);
    expect(existsSync(at('cut'))).toBe(false);
    await succeed(...tune('cut', '--steps', '5', '--resume'));
    const weights = (name: string) => readFile(at(`${name}/adapter_model.safetensors`));
    expect(await weights('cut')).toEqual(await weights('whole'));
  });

  it.each([
    [['--full', '--lora'], 2, /exclude each other/],
    [['--full', '--targets', 'q_proj'], 2, /belong to adapters/],
    [['--targets', 'qproj'], 1, /got qproj; expected .*q_proj/],
    [['--sequence', '65'], 1, /longer than the context/],
    [['--sequence', '4'], 1, /no answer lies within/],
  ])('refuses %j before any work', async (more, code, message) => {
    const outcome = await frugal(tune('refused', ...more));
    expect([outcome.code, outcome.err]).toEqual([code, expect.stringMatching(message)]);
    expect(existsSync(at('refused.training'))).toBe(false);
  });

  it('refuses data that it does not understand, by line', async () => {
    await writeFile(at('bad.jsonl'), `${JSON.stringify(chats[0])}\n{"messages": []}`);
    const { code, err } = await frugal(['finetune', base, '--data', at('bad.jsonl'), '--out', at('bad')]);
    expect([code, err]).toEqual([1, expect.stringMatching(/bad\.jsonl:2\] there is no answer to learn/)]);
  });
});
