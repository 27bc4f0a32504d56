import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { expectAgreement } from '../packages/models/test/support/agree.js';
import { findPython } from './support/python.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const families = [
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
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
  { timeout: 300_000 },
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
  },
);
