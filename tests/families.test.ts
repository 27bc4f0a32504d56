import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { loadModel, saveModel } from '@frugal/models';
import { noGrad, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { expectAgreement } from '../packages/models/test/support/agree.js';
import { relativeDifference } from '../packages/models/test/support/oracle.js';
import { findPython } from './support/python.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const families = [
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
  'qwen2_moe',
  'qwen3_moe',
  'mixtral',
  'gemma2',
  'gemma3',
  'deepseek_v2',
  'deepseek_v3',
  'smollm3',
];

/** Other configurations every day; FRUGAL_SEED repeats those of another one. */
const first = Number(process.env.FRUGAL_SEED ?? Math.floor(Date.now() / 86_400_000));
const seeds = Array.from({ length: Number(process.env.FRUGAL_SEEDS ?? 2) }, (_, i) => String(first + i));

const python = findPython(
  'import torch, transformers; assert int(transformers.__version__.split(".")[0]) >= 5',
);

it.for(families)(
  `random configurations agree with transformers (FRUGAL_SEED=${first}): %s`,
  async (family, context) => {
    if (!python) return context.skip('no Python with torch and transformers 5');
    const folder = await mkdtemp(join(tmpdir(), 'frugal-families-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const script = join(root, 'oracles/make_families.py');
    const { status, stderr } = spawnSync(python, ['-B', script, folder, family, ...seeds], {
      encoding: 'utf8',
    });
    expect(status, stderr).toBe(0);
    const models = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(models.length).toBe(seeds.length);
    for (const { name } of models) {
      try {
        await expectAgreement(join(folder, name));
      } catch (error) {
        throw new Error(`seed ${name}`, { cause: error });
      }
    }
    await expectOpened(
      folder,
      models.map(({ name }) => name),
    );
  },
);

/** What we save, transformers opens, with the same logits. */
async function expectOpened(folder: string, names: readonly string[]): Promise<void> {
  const [saved, results] = [join(folder, 'saved'), join(folder, 'results')];
  await mkdir(results, { recursive: true });
  const ids = Array.from({ length: 20 }, (_, i) => (i * 31 + 5) % 50);
  const ours = new Map<string, Float32Array>();
  for (const name of names) {
    const model = await loadModel(join(folder, name));
    await saveModel(model, join(saved, name));
    const { vocabularySize } = model;
    const logits = scope(() => noGrad(() => model.forward(stepBatch([ids], { vocabularySize })).logits()));
    ours.set(name, await logits.toFloat32());
    model.dispose();
  }
  const script = join(root, 'oracles/open_model.py');
  const { status, stderr } = spawnSync(
    python as string,
    ['-B', script, saved, JSON.stringify(ids), results],
    {
      encoding: 'utf8',
    },
  );
  expect(status, stderr).toBe(0);
  for (const [name, logits] of ours) {
    const source = await openSafetensors(join(results, `${name}.safetensors`));
    const theirs = toFloat32(await source.read('logits'), 'F32');
    await source.close();
    expect(relativeDifference(logits, theirs), `${name}, saved by us`).toBeLessThan(2e-5);
  }
}
