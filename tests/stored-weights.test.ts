import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress, openRunStore, presetRecipe, type Recipe } from '@frugal/compress';
import { createModel, loadModel, saveModel, skeleton } from '@frugal/models';
import { pruneMethods } from '@frugal/prune';
import { quantMethods } from '@frugal/quant';
import { type CausalLM, PackedLinear } from '@frugal/tensor-core/nn';
import { afterAll, describe, expect, it } from 'vitest';
import { useNativeBackend } from './support/native.js';
import { fourBlockLlama } from './support/tiny-llama.js';
import { tokenSequences } from './support/token-sequences.js';

const folder = await mkdtemp(join(tmpdir(), 'frugal-stored-'));
afterAll(() => rm(folder, { recursive: true }));
const native = useNativeBackend();

const options = {
  methods: [...quantMethods, ...pruneMethods],
  calibration: tokenSequences(6, 20, 50),
  rebuild: skeleton,
};
const everything = { include: ['**'] };
const custom = (...modifiers: { type: string; [option: string]: unknown }[]): Recipe => ({
  version: 1,
  seed: 2,
  stages: modifiers.map(({ targets = { include: ['blocks.**'] }, ...rest }, i) => ({
    name: `stage-${i}`,
    modifiers: [{ targets: targets as typeof everything, ...rest }],
  })),
});

/** A checkpoint in bf16 whose matrices are large enough to be mapped. */
async function checkpoint(tied: boolean): Promise<string> {
  const path = join(folder, tied ? 'tied' : 'untied');
  const config = { ...fourBlockLlama, hidden_size: 128, intermediate_size: 256, tie_word_embeddings: tied };
  await saveModel(createModel(config, { seed: 4 }), path, { dtype: 'bf16', force: true, durable: false });
  return path;
}

/** Hashes of what is saved after a recipe. */
async function saved(model: CausalLM): Promise<string[]> {
  const path = join(folder, 'result');
  await saveModel(model, path, { dtype: 'bf16', force: true, durable: false });
  const files = ['model.safetensors', 'config.json'].map((name) => readFile(join(path, name)));
  return (await Promise.all(files)).map((bytes) => createHash('sha256').update(bytes).digest('hex'));
}

const model = () => createModel(fourBlockLlama, { seed: 0 });
const recipes: [string, Recipe][] = [
  ...[
    'int8',
    'w8a8',
    'w8a8-rotate',
    'int4-gptq',
    'int4-awq',
    'q4_k_m',
    'nf4',
    'wanda-50',
    '2:4',
    'half-depth',
  ].map((name): [string, Recipe] => [name, presetRecipe(name, model())]),
  [
    'narrower',
    custom({ type: 'prune.ffn', keep: 0.5 }, { type: 'prune.width', targets: everything, keep: 0.75 }),
  ],
  ['a head of its own', custom({ type: 'quant.rotate', targets: everything })],
];

describe.each([true, false])('weights that stay in a bf16 file until their turn, tied head: %s', (tied) => {
  it.each(recipes)('give what weights in memory give: %s', async (name, recipe) => {
    const path = await checkpoint(tied);
    const { model: whole, report } = await compress(await loadModel(path), recipe, options);
    const expected = await saved(whole);
    const open = (resume: boolean) => openRunStore(join(folder, `${name}-${tied}`), 'run', { resume });
    for (const resume of [false, true]) {
      const stored = await loadModel(path, { dtype: 'stored' });
      const done = await compress(stored, recipe, { ...options, store: await open(resume) });
      expect(await saved(done.model)).toEqual(expected);
      expect(done.report.stages.map(({ outcomes }) => outcomes)).toEqual(
        report.stages.map(({ outcomes }) => outcomes),
      );
    }
  });
});

it.runIf(native)('what is finished lies in the file of the run, not in memory', async () => {
  const stored = await loadModel(await checkpoint(true), { dtype: 'stored' });
  const store = await openRunStore(join(folder, 'finished'), 'run', { resume: false });
  await compress(stored, presetRecipe('int8', stored), { ...options, store });
  const packed = [...stored.namedModules()].flatMap(([, module]) =>
    module instanceof PackedLinear ? [module.weight] : [],
  );
  expect(packed).toHaveLength(4 * 7 + 1);
  for (const { parts } of packed) for (const { storage } of parts) expect(storage.discard).toBeDefined();
});
