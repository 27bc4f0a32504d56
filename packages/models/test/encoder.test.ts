import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crossEntropy, noGrad, scope, tensor } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createEncoder, type EncoderModel, loadEncoder, loadModel, saveModel } from '../src/index.js';
import { expectGradientNorms } from './support/agree.js';
import { readExpected, relativeDifference } from './support/oracle.js';

const fixture = fileURLToPath(new URL('../../../oracles/fixtures/families/bert-1', import.meta.url));

const config = {
  architectures: ['BertModel'],
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  vocab_size: 50,
  max_position_embeddings: 32,
};

function texts(model: EncoderModel, sequences: readonly ArrayLike<number>[]) {
  return stepBatch(sequences, { vocabularySize: model.vocabularySize });
}

describe('EncoderModel', () => {
  it('agrees with transformers: hidden states, class scores, loss and gradients', async () => {
    const model = await loadEncoder(fixture);
    const expected = await readExpected(fixture);
    const sequences = expected.rows('input_ids');
    const types = tensor(Int32Array.from(expected.rows('token_types').flatMap((row) => [...row])));
    const { hidden, logits, loss } = scope(() => {
      const output = model.forward(texts(model, sequences), { types });
      const scores = output.logits();
      const losses = crossEntropy(scores, tensor(Int32Array.from(sequences, (_, i) => i)));
      const mean = losses.mean();
      const kept = { hidden: output.hidden.detach(), logits: scores.detach(), loss: mean };
      mean.backward();
      return kept;
    });
    expect(relativeDifference(await hidden.toFloat32(), expected.floats('hidden'))).toBeLessThan(2e-5);
    expect(relativeDifference(await logits.toFloat32(), expected.floats('logits'))).toBeLessThan(2e-5);
    expect(relativeDifference([await loss.item()], expected.floats('loss'))).toBeLessThan(1e-4);
    await expectGradientNorms(model, expected);
    model.dispose();
  });

  it('pools each text of a batch as if it were alone', async () => {
    const model = createEncoder(config, { seed: 4 });
    const sequences = [[1, 2, 3, 4, 5], [7], [9, 8, 7]];
    for (const kind of ['mean', 'first', 'pooled'] as const) {
      const run = (batch: number[][]) =>
        scope(() => noGrad(() => model.forward(texts(model, batch)).pool(kind))).toFloat32();
      const together = await run(sequences);
      const alone = await Promise.all(sequences.map((sequence) => run([sequence])));
      expect(
        relativeDifference(
          together,
          alone.flatMap((row) => [...row]),
        ),
      ).toBeLessThan(1e-6);
    }
    const output = scope(() => noGrad(() => model.forward(texts(model, sequences))));
    expect(() => output.logits()).toThrow(/no classifier/);
  });

  it('is saved and opened again bit for bit, and is no language model', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'frugal-encoder-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    const model = createEncoder(config, { seed: 4 });
    await saveModel(model, join(directory, 'model'));
    const again = await loadEncoder(join(directory, 'model'));
    const run = (encoder: EncoderModel) =>
      scope(() => noGrad(() => encoder.forward(texts(encoder, [[3, 1, 2]])).hidden)).toFloat32();
    expect(await run(again)).toEqual(await run(model));
    await expect(loadModel(join(directory, 'model'))).rejects.toThrow(
      /BertModel.*LlamaForCausalLM.*loadEncoder/s,
    );
  });
});
