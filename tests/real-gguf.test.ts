import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint, openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { loadModel, tokenizerOf } from '@frugal/models';
import { noGrad, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { useNativeBackend } from './support/native.js';
import { findPython } from './support/python.js';
import { findGguf } from './support/real-gguf.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Texts of several kinds, written for this test. */
const texts = [
  'The harbour was quiet that morning. Two boats had come in before dawn, and their crews were already mending nets on the stones beside the old customs house, talking about the price of diesel.',
  'def moving_average(values, width):\n    total = sum(values[:width])\n    for i in range(width, len(values)):\n        yield total / width\n        total += values[i] - values[i - width]\n',
  '<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\nBecause air scatters short wavelengths of sunlight more strongly than long ones.<|im_end|>\n',
];

/** Some thousand tokens of prose that no longer changes: decisions, which models have not seen, and a licence, which they have. */
const prose = ['LICENSE', ...['0001', '0002', '0003', '0004'].map(decision)];

function decision(number: string): string {
  const folder = join(root, 'docs/decisions');
  const name = readdirSync(folder).find((one) => one.startsWith(number));
  if (!name) throw new Error(`no decision ${number} in ${folder}`);
  return join('docs/decisions', name);
}

/** Tokens that are read in one piece. */
const PIECE = 512;

function piecesOf(ids: readonly number[]): number[][] {
  return Array.from({ length: Math.ceil(ids.length / PIECE) }, (_, i) =>
    ids.slice(i * PIECE, (i + 1) * PIECE),
  );
}

const model = findGguf();

/** Our logits of one row after the other; whole texts at once would take gigabytes. */
async function* ourLogits(ids: readonly number[][], precise: boolean): AsyncGenerator<Float32Array> {
  const loaded = await loadModel(model as string, { precise });
  const { vocabularySize } = loaded;
  try {
    for (const row of ids) {
      const output = scope(() => noGrad(() => loaded.forward(stepBatch([row], { vocabularySize })).logits()));
      const logits = await output.toFloat32();
      output.dispose();
      yield logits;
    }
  } finally {
    loaded.dispose();
  }
}

/** Those of transformers, read one after the other as well. */
async function theirLogits(
  python: string,
  ids: readonly number[][],
  folder: string,
): Promise<(row: number) => Promise<Float32Array>> {
  const [input, output] = [join(folder, 'ids.json'), join(folder, 'logits.safetensors')];
  await writeFile(input, JSON.stringify(ids));
  const script = join(root, 'oracles/gguf_logits.py');
  const { status, stderr } = spawnSync(python, [script, model as string, input, output], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return async (row) => {
    const source = await openSafetensors(output);
    const logits = toFloat32(await source.read(String(row)), 'F32');
    await source.close();
    return logits;
  };
}

interface Comparison {
  readonly positions: number;
  readonly meanKl: number;
  readonly nllRatio: number;
  /** Of positions where the reference is sure (its best two differ by more than 0.2), and of all. */
  readonly sureTop1: number;
  readonly top1: number;
}

async function compare(
  ids: readonly number[][],
  ours: AsyncIterable<Float32Array>,
  theirs: (row: number) => Promise<Float32Array>,
): Promise<Comparison> {
  const sums = { kl: 0, ourNll: 0, theirNll: 0, sure: 0, sureEqual: 0, equal: 0, positions: 0 };
  let i = 0;
  for await (const found of ours) {
    const [row, expected] = [ids[i], await theirs(i)];
    i++;
    const width = expected.length / row.length;
    for (let t = 0; t < row.length; t++) {
      const a = logSoftmax(expected.subarray(t * width, (t + 1) * width));
      const b = logSoftmax(found.subarray(t * width, (t + 1) * width));
      const [best, second] = topTwo(a);
      const equal = topTwo(b)[0] === best;
      sums.positions++;
      sums.equal += Number(equal);
      if (a[best] - a[second] > 0.2) {
        sums.sure++;
        sums.sureEqual += Number(equal);
      }
      sums.kl += a.reduce((sum, value, v) => sum + Math.exp(value) * (value - b[v]), 0);
      if (t + 1 === row.length) continue;
      sums.theirNll -= a[row[t + 1]];
      sums.ourNll -= b[row[t + 1]];
    }
  }
  return {
    positions: sums.positions,
    meanKl: sums.kl / sums.positions,
    nllRatio: sums.ourNll / sums.theirNll,
    sureTop1: sums.sureEqual / sums.sure,
    top1: sums.equal / sums.positions,
  };
}

function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most;
  return Float64Array.from(logits, (value) => value - total);
}

function topTwo(values: Float64Array): [number, number] {
  let [best, second] = [0, -1];
  for (let i = 1; i < values.length; i++) {
    if (values[i] > values[best]) [best, second] = [i, best];
    else if (second < 0 || values[i] > values[second]) second = i;
  }
  return [best, second];
}

describe('a real GGUF file computes what transformers computes with its dequantised weights', () => {
  it('with packed products, and in precise mode', { timeout: 600_000 }, async (context) => {
    if (!model) return context.skip('needs a GGUF file: FRUGAL_TEST_MODEL, or one in .cache/models');
    const python = findPython('import torch, transformers, gguf');
    if (!python) return context.skip('needs Python with torch, transformers and gguf');
    if (!useNativeBackend()) return context.skip('needs the native addon');
    const checkpoint = await openCheckpoint(model);
    const tokenizer = await tokenizerOf(checkpoint);
    await checkpoint.close();
    const known = await Promise.all(prose.map((name) => readFile(join(root, name), 'utf8')));
    const short = texts.map((text) => [...tokenizer.encode(text)]);
    const all = [...short, ...known.flatMap((text) => piecesOf([...tokenizer.encode(text)]))];
    const folder = await mkdtemp(join(tmpdir(), 'frugal-real-'));
    try {
      const theirs = await theirLogits(python, all, folder);
      const precise = await compare(short, ourLogits(short, true), theirs);
      const packed = await compare(all, ourLogits(all, false), theirs);
      if (process.env.FRUGAL_PRINT) console.log({ precise, packed });
      expect(precise.meanKl).toBeLessThan(1e-5);
      expect(precise.top1).toBeGreaterThanOrEqual(0.99);
      expect(packed.positions).toBeGreaterThan(3000);
      expect(packed.meanKl).toBeLessThanOrEqual(0.006);
      expect(Math.abs(packed.nllRatio - 1)).toBeLessThanOrEqual(0.005);
      expect(packed.sureTop1).toBeGreaterThanOrEqual(0.99);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
