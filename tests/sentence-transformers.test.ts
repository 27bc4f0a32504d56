import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '@frugal/checkpoint';
import { convertModel, createEncoder, encoderOf, encoderUse, saveModel, tokenizerOf } from '@frugal/models';
import { noGrad, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { trainByteLevelBpe } from '@frugal/tokenizers';
import { expect, it, onTestFinished } from 'vitest';
import { findPython } from './support/python.js';

const script = fileURLToPath(new URL('../oracles/open_sentence_transformers.py', import.meta.url));
const texts = ['A cat sits on the mat.', 'Un chat est assis, déjà vu!', '却说曹操引兵追赶', 'x'];

/** A random BERT in the layout of sentence-transformers, whose vectors are the normalised first token's. */
async function saveSentenceEncoder(folder: string): Promise<void> {
  const trained = trainByteLevelBpe([texts.join(' ').repeat(9)], {
    vocabularySize: 300,
    specialTokens: ['<pad>'],
  }).files();
  const settings = JSON.parse(trained['tokenizer_config.json']);
  const module = (name: string, path = '') => ({ path, type: `sentence_transformers.models.${name}` });
  const files = {
    'tokenizer_config.json': { ...settings, pad_token: '<pad>', model_max_length: 64 },
    'modules.json': [
      module('Transformer'),
      module('Pooling', '1_Pooling'),
      module('Normalize', '2_Normalize'),
    ].map((entry, idx) => ({ idx, name: String(idx), ...entry })),
    '1_Pooling/config.json': {
      word_embedding_dimension: 32,
      pooling_mode_cls_token: true,
      pooling_mode_mean_tokens: false,
    },
    'sentence_bert_config.json': { max_seq_length: 64, do_lower_case: false },
  };
  const size = { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2 };
  const encoder = createEncoder(
    { architectures: ['BertModel'], vocab_size: 300, max_position_embeddings: 64, ...size },
    { seed: 1 },
  );
  await saveModel(encoder, folder, { tokenizerFiles: trained });
  for (const [name, json] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), JSON.stringify(json));
  }
}

async function ourVectors(folder: string): Promise<number[][]> {
  const checkpoint = await openCheckpoint(folder);
  const [encoder, tokenizer, use] = await Promise.all([
    encoderOf(checkpoint),
    tokenizerOf(checkpoint),
    encoderUse(checkpoint),
  ]);
  await checkpoint.close();
  expect(use).toMatchObject({ pooling: 'first', normalize: true });
  const sequences = texts.map((text) => tokenizer.encode(text));
  const vectors = await scope(() =>
    noGrad(() => encoder.forward(stepBatch(sequences, { vocabularySize: 300 })).pool('first')),
  ).toFloat32();
  return texts.map((_, i) => {
    const vector = [...vectors.subarray(32 * i, 32 * (i + 1))];
    return vector.map((value) => value / Math.hypot(...vector));
  });
}

it('sentence-transformers opens what convert writes and makes the same vectors', async (context) => {
  const python = findPython('import sentence_transformers');
  if (!python) return context.skip('needs Python with sentence-transformers');
  const folder = await mkdtemp(join(tmpdir(), 'frugal-sentence-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const [original, converted] = ['original', 'converted'].map((name) => join(folder, name));
  await saveSentenceEncoder(original);
  await convertModel(original, converted, { to: 'f32' });

  const { stdout, stderr } = spawnSync(python, [script, converted], {
    input: JSON.stringify(texts),
    encoding: 'utf8',
  });
  expect(stdout, stderr).not.toBe('');
  const theirs: number[][] = JSON.parse(stdout.trim().split('\n').at(-1) as string);
  const ours = await ourVectors(converted);
  for (const [i, vector] of ours.entries())
    for (const [j, value] of vector.entries()) expect(Math.abs(value - theirs[i][j])).toBeLessThan(1e-5);
});
