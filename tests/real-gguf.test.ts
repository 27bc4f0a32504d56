import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { openCheckpoint, openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { loadModel, tokenizerOf } from '@frugal/models';
import { noGrad, scope, setBackend } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** A real GGUF file: named by FRUGAL_TEST_MODEL, or the first in .cache/models (`node scripts/fetch-test-model.mjs`). */
function findModel(): string | undefined {
  const folder = join(root, '.cache/models');
  const kept = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.gguf')) : [];
  return process.env.FRUGAL_TEST_MODEL ?? (kept[0] && join(folder, kept[0]));
}

/** A Python that has transformers and gguf. */
function findPython(): string | undefined {
  const candidates = [process.env.FRUGAL_PYTHON, join(root, '.cache/oracles-venv/bin/python'), 'python3'];
  return candidates.find(
    (python) => python && spawnSync(python, ['-c', 'import torch, transformers, gguf']).status === 0,
  );
}

/** Texts of several kinds, written for this test. */
const texts = [
  'The harbour was quiet that morning. Two boats had come in before dawn, and their crews were already mending nets on the stones beside the old customs house, talking about the price of diesel.',
  'def moving_average(values, width):\n    total = sum(values[:width])\n    for i in range(width, len(values)):\n        yield total / width\n        total += values[i] - values[i - width]\n',
  '<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\nBecause air scatters short wavelengths of sunlight more strongly than long ones.<|im_end|>\n',
];

const model = findModel();
const python = model ? findPython() : undefined;
let available = true;
try {
  cpuBackend();
} catch (error) {
  if (!(error instanceof CpuBackendUnavailableError)) throw error;
  available = false;
}

async function ourLogits(ids: readonly number[][], precise: boolean): Promise<Float32Array[]> {
  setBackend(cpuBackend());
  const loaded = await loadModel(model as string, { precise });
  const { vocabularySize } = loaded;
  const logits: Float32Array[] = [];
  for (const row of ids) {
    const output = scope(() => noGrad(() => loaded.forward(stepBatch([row], { vocabularySize })).logits()));
    logits.push(await output.toFloat32());
    output.dispose();
  }
  loaded.dispose();
  return logits;
}

async function theirLogits(ids: readonly number[][]): Promise<Float32Array[]> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-real-'));
  try {
    const [input, output] = [join(folder, 'ids.json'), join(folder, 'logits.safetensors')];
    await writeFile(input, JSON.stringify(ids));
    const script = join(root, 'oracles/gguf_logits.py');
    const { status, stderr } = spawnSync(python as string, [script, model as string, input, output], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(stderr);
    const source = await openSafetensors(output);
    const logits = await Promise.all(ids.map(async (_, i) => toFloat32(await source.read(String(i)), 'F32')));
    await source.close();
    return logits;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Comparison {
  readonly meanKl: number;
  readonly nllRatio: number;
  /** Of positions where the reference is sure (its best two differ by more than 0.2), and of all. */
  readonly sureTop1: number;
  readonly top1: number;
}

function compare(
  ids: readonly number[][],
  ours: readonly Float32Array[],
  theirs: readonly Float32Array[],
): Comparison {
  const sums = { kl: 0, ourNll: 0, theirNll: 0, sure: 0, sureEqual: 0, equal: 0, positions: 0, scored: 0 };
  for (const [i, row] of ids.entries()) {
    const width = theirs[i].length / row.length;
    for (let t = 0; t < row.length; t++) {
      const a = logSoftmax(theirs[i].subarray(t * width, (t + 1) * width));
      const b = logSoftmax(ours[i].subarray(t * width, (t + 1) * width));
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
    if (!python) return context.skip('needs Python with torch, transformers and gguf');
    if (!available) return context.skip('needs the native addon');
    const checkpoint = await openCheckpoint(model);
    const tokenizer = await tokenizerOf(checkpoint);
    await checkpoint.close();
    const ids = texts.map((text) => [...tokenizer.encode(text)]);
    const theirs = await theirLogits(ids);
    const precise = compare(ids, await ourLogits(ids, true), theirs);
    expect(precise.meanKl).toBeLessThan(1e-5);
    expect(precise.top1).toBeGreaterThanOrEqual(0.99);
    const packed = compare(ids, await ourLogits(ids, false), theirs);
    if (process.env.FRUGAL_PRINT) console.log({ precise, packed });
    expect(packed.meanKl).toBeLessThanOrEqual(0.006);
    expect(Math.abs(packed.nllRatio - 1)).toBeLessThanOrEqual(0.005);
    expect(packed.sureTop1).toBeGreaterThanOrEqual(0.99);
  });
});
