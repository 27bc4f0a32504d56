import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '@frugal/checkpoint';
import { compress, parseRecipe } from '@frugal/compress';
import { loadModel, saveModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { type Backend, noGrad, referenceBackend, scope } from '@frugal/tensor-core';
import { type CausalLM, Linear, type LinearLike, type PackedLinear, stepBatch } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';

const fixtures = fileURLToPath(new URL('../oracles/fixtures', import.meta.url));

function logits(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch([[1, 2, 3, 4]], { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

it.each(['llama-tiny', 'llama-tied'])(
  '%s is written and read back bit for bit, dense and packed',
  async (name) => {
    const directory = await temporary();
    const model = await loadModel(`${fixtures}/${name}`);
    const dense = await logits(model);
    await saveModel(model, join(directory, 'dense'));
    expect(await logits(await loadModel(join(directory, 'dense')))).toEqual(dense);

    const int8 = {
      type: 'quant.rtn',
      targets: { include: ['**'] },
      format: 'int8-channel',
      activation: 'int8',
    };
    const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers: [int8] }] });
    const { report, manifest } = await compress(model, recipe, { methods: [roundToNearest] });
    expect(report.bytesAfter).toBeLessThan(0.4 * report.bytesBefore);
    const quantized = await logits(model);
    await saveModel(model, join(directory, 'int8'), { manifest });
    const checkpoint = await openCheckpoint(join(directory, 'int8'));
    await checkpoint.close();
    expect(checkpoint.manifest).toMatchObject({ kind: 'compress', recipe, bytesAfter: report.bytesAfter });
    expect(await logits(await loadModel(join(directory, 'int8')))).toEqual(quantized);
    const error = Math.hypot(...quantized.map((value, i) => value - dense[i])) / Math.hypot(...dense);
    expect(error).toBeLessThan(0.05);
  },
);

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'frugal-models-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

it('keeps which layers quantise their activations, and loads onto the backend that was asked for', async () => {
  const path = join(await temporary(), 'model');
  const model = await loadModel(`${fixtures}/llama-tiny`);
  const int8 = { type: 'quant.rtn', format: 'int8-channel' };
  const modifiers = [
    { ...int8, targets: { include: ['blocks.*.mlp.*'] }, activation: 'int8' },
    { ...int8, targets: { include: ['blocks.*.attention.*'] }, activation: 'none' },
  ];
  await compress(model, parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers }] }), {
    methods: [roundToNearest],
  });
  await saveModel(model, path);
  const other = Object.create(referenceBackend(), { name: { value: 'other' } }) as Backend;
  const loaded = await loadModel(path, { backend: other });
  expect((loaded.module('blocks.0.mlp.up') as PackedLinear).activation).toBe('int8');
  const query = loaded.module('blocks.1.attention.query') as PackedLinear;
  expect(query.activation).toBe(null);
  expect(query.weight.backend).toBe(other);
  expect(await logits(await loadModel(path))).toEqual(await logits(model));
});

it('writes a head that was parted from its embedding', async () => {
  const path = join(await temporary(), 'model');
  const model = await loadModel(`${fixtures}/llama-tied`);
  const weight = scope(() => noGrad(() => (model.head as LinearLike).effectiveWeight().mul(2)));
  model.replace('head', new Linear(weight));
  await saveModel(model, path);
  expect(JSON.parse(await readFile(join(path, 'config.json'), 'utf8')).tie_word_embeddings).toBe(false);
  expect(await logits(await loadModel(path))).toEqual(await logits(model));
});
