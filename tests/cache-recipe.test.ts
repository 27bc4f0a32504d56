import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress, parseRecipe } from '@frugal/compress';
import { createModel, loadModel, saveModel, skeleton } from '@frugal/models';
import { layerPruning } from '@frugal/prune';
import { cacheQuantization } from '@frugal/quant';
import { defaultCacheDType, generate, modelCache } from '@frugal/tensor-core/generation';
import { expect, it, onTestFinished } from 'vitest';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  vocab_size: 50,
  max_position_embeddings: 64,
};
const modifier = (options: object, include = ['blocks.*']) => ({
  type: 'quant.cache',
  targets: { include },
  ...options,
});
const recipe = (...modifiers: object[]) =>
  parseRecipe({
    version: 1,
    seed: 0,
    stages: modifiers.map((each, i) => ({ name: `stage-${i}`, modifiers: [each] })),
  });
const options = { methods: [cacheQuantization, layerPruning], rebuild: skeleton };

it('chooses how keys and values are stored, saves it, and generation follows', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-cache-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const cut = { type: 'prune.layers', targets: { include: ['blocks.1'] }, exactly: true };
  const { model, manifest } = await compress(
    createModel(config, { seed: 1 }),
    recipe(modifier({ dtype: 'q8' }), cut),
    options,
  );
  expect(model.blocks).toHaveLength(2);
  await saveModel(model, join(folder, 'model'), { manifest });
  const saved = JSON.parse(await readFile(join(folder, 'model/frugal.json'), 'utf8'));
  expect(saved).toMatchObject({ kind: 'compress', cache: { dtype: 'q8' } });
  const opened = await loadModel(join(folder, 'model'));
  expect(defaultCacheDType(opened)).toBe('q8');
  const cache = modelCache(opened, { tokens: 16 });
  expect(cache.dtype).toBe('q8');
  cache.dispose();
  const ids: number[] = [];
  for await (const id of generate(opened, [1, 2, 3], { maxTokens: 4 })) ids.push(id);
  expect(ids).toHaveLength(4);
  await writeFile(join(folder, 'model/frugal.json'), JSON.stringify({ ...saved, cache: { dtype: 'q3' } }));
  await expect(loadModel(join(folder, 'model'))).rejects.toThrow(/cannot be stored so: got "q3"/);
});

it('refuses some of the blocks, unknown dtypes, and a choice that was made', async () => {
  const run = (...modifiers: object[]) =>
    compress(createModel(config, { seed: 1 }), recipe(...modifiers), options);
  await expect(run(modifier({}, ['blocks.0']))).rejects.toThrow(/1 of 3 blocks are targets/);
  await expect(async () => run(modifier({ dtype: 'int2' }))).rejects.toThrow(/bad options/);
  const model = createModel(config, { seed: 1 });
  await compress(model, recipe(modifier({})), options);
  await expect(compress(model, recipe(modifier({})), options)).rejects.toThrow(/stored in q8 already/);
});
