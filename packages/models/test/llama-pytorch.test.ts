import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32, typedArrayOf } from '@frugal/checkpoint';
import { scope, type Tensor, tensor } from '@frugal/tensor-core';
import { generate } from '@frugal/tensor-core/generation';
import { nextTokenBatch, nextTokenLoss, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { toTheirs } from '../src/families/family.js';
import { loadModel } from '../src/index.js';
import { namesOf } from '../src/registry.js';

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures', import.meta.url));

async function expected(name: string) {
  const source = await openSafetensors(`${fixtures}/${name}.expected.safetensors`);
  onTestFinished(() => source.close());
  const ids = async (key: string) => {
    const entry = source.entries.get(key);
    const bytes = await source.read(key);
    return Int32Array.from(typedArrayOf(bytes, entry?.dtype as 'I32'), Number);
  };
  const floats = async (key: string) => toFloat32(await source.read(key), 'F32');
  return { source, ids, floats, shape: (key: string) => source.entries.get(key)?.shape as number[] };
}

function rows(ids: Int32Array, [B, T]: number[]): Int32Array[] {
  return Array.from({ length: B }, (_, i) => ids.subarray(i * T, (i + 1) * T));
}

function maxDifference(actual: Float32Array, wanted: Float32Array): { difference: number; scale: number } {
  expect(actual.length).toBe(wanted.length);
  let difference = 0;
  let scale = 0;
  wanted.forEach((value, i) => {
    difference = Math.max(difference, Math.abs(value - actual[i]));
    scale = Math.max(scale, Math.abs(value));
  });
  return { difference, scale };
}

describe.each(['llama-tiny', 'llama-tied'])('%s agrees with PyTorch', (name) => {
  it('logits, packed sequences, loss and all gradients', async () => {
    const model = await loadModel(`${fixtures}/${name}`);
    const { floats, ids, shape } = await expected(name);
    const sequences = rows(await ids('input_ids'), shape('input_ids'));
    const { vocabularySize } = model;
    const { logits, loss } = scope(() => {
      const output = model.forward(stepBatch(sequences, { vocabularySize }));
      const { targets } = nextTokenBatch(sequences);
      const counted = targets.filter((target) => target >= 0).length;
      const mean = nextTokenLoss(output.hidden, model.head, tensor(targets)).mul(1 / counted);
      const values: Tensor = output.logits().detach();
      mean.backward();
      return { logits: values, loss: mean };
    });
    const compared = maxDifference(await logits.toFloat32(), await floats('logits'));
    expect(compared.difference).toBeLessThan(2e-5 * compared.scale);
    const [wantedLoss] = await floats('loss');
    expect(Math.abs((await loss.item()) - wantedLoss)).toBeLessThan(1e-5 * wantedLoss);
    for (const [path, parameter] of model.namedParameters()) {
      const theirs = toTheirs(namesOf(model.config), path) as string;
      const gradient = await (parameter.gradient as Tensor).toFloat32();
      const { difference, scale } = maxDifference(gradient, await floats(`gradient.${theirs}`));
      expect(difference, path).toBeLessThan(1e-4 * scale);
    }
    model.dispose();
  });

  it('packed sequences see only themselves', async () => {
    const model = await loadModel(`${fixtures}/${name}`);
    const { floats, ids } = await expected(name);
    const all = await ids('packed.input_ids');
    const starts = await ids('packed.sequence_starts');
    const sequences = [...starts.subarray(1)].map((end, i) => all.subarray(starts[i], end));
    const batch = stepBatch(sequences, { vocabularySize: model.vocabularySize });
    const { difference, scale } = maxDifference(
      await model.forward(batch).logits().toFloat32(),
      await floats('packed.logits'),
    );
    expect(difference).toBeLessThan(2e-5 * scale);
    model.dispose();
  });

  it('greedy continuation through the paged cache', async () => {
    const model = await loadModel(`${fixtures}/${name}`);
    const { ids, shape } = await expected(name);
    const prompts = rows(await ids('greedy.prompt'), shape('greedy.prompt'));
    const wanted = rows(await ids('greedy.tokens'), shape('greedy.tokens'));
    for (const [i, prompt] of prompts.entries()) {
      const tokens: number[] = [];
      for await (const token of generate(model, prompt, { maxTokens: wanted[i].length, prefillChunk: 5 }))
        tokens.push(token);
      expect(tokens).toEqual([...wanted[i]]);
    }
    model.dispose();
  });
});
