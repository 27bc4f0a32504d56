import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compress, parseRecipe, presetRecipe } from '@frugal/compress';
import { loadModel, saveModel, savingProblems } from '@frugal/models';
import { quantMethods } from '@frugal/quant';
import type { PackedLinear } from '@frugal/tensor-core/nn';
import { expect, it, onTestFinished } from 'vitest';
import { distance, logits, withLoudNeuron } from './support/loud-neuron.js';
import { useNativeBackend } from './support/native.js';

useNativeBackend();

const plain = parseRecipe({
  version: 1,
  seed: 0,
  stages: [
    {
      name: 'plain',
      modifiers: [
        {
          type: 'quant.rtn',
          targets: { include: ['blocks.**'] },
          format: 'int8-channel',
          activation: 'int8',
        },
      ],
    },
  ],
});

it('w8a8-rotate keeps a loud neuron from drowning the others, and is loaded as it was saved', async () => {
  const dense = await logits(withLoudNeuron());
  const options = { methods: quantMethods };
  const original = withLoudNeuron();
  const turned = await compress(original, presetRecipe('w8a8-rotate', original), options);
  const down = turned.model.module('blocks.1.mlp.down') as PackedLinear;
  expect([down.weight.format, down.activation]).toEqual(['int8-channel-hadamard', 'int8']);
  const [own, other] = [await logits(turned.model), (await compress(withLoudNeuron(), plain, options)).model];
  expect(distance(own, dense)).toBeLessThan(distance(await logits(other), dense) / 2);
  const folder = await mkdtemp(join(tmpdir(), 'frugal-hadamard-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await saveModel(turned.model, join(folder, 'saved'));
  const loaded = await loadModel(join(folder, 'saved'));
  const again = loaded.module('blocks.1.mlp.down') as PackedLinear;
  expect([again.weight.format, again.activation]).toEqual([down.weight.format, down.activation]);
  expect(await again.weight.unpack().toFloat32()).toEqual(await down.weight.unpack().toFloat32());
  expect(distance(await logits(loaded), own)).toBeLessThan(1e-5); // what is loaded is laid out for the kernels
  for (const layout of ['compressed-tensors', 'ascend'] as const)
    expect(savingProblems(turned.model, new Map(), layout).join('\n')).toMatch(/hadamard/);
});
