import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type GgufValue, openCheckpoint, saveGguf, type TensorInput, toFloat32 } from '@frugal/checkpoint';
import { noGrad, scope } from '@frugal/tensor-core';
import { stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toOurs, toTheirs } from '../src/families/family.js';
import { loadModel, ModelConfigError } from '../src/index.js';
import { familyOf } from '../src/registry.js';

const original = fileURLToPath(new URL('../../../oracles/fixtures/llama-tiny', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-gguf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const f32 = (value: number): GgufValue => ({ type: 'f32', value });

/** llama-tiny as llama.cpp's converter writes it, by its description: `reshape(H, 2, D/2, C).swapaxes(1, 2)` for q and k. */
async function writeGguf(path: string, changes: Record<string, GgufValue> = {}): Promise<void> {
  const checkpoint = await openCheckpoint(original);
  const config = checkpoint.config as Record<string, number>;
  const family = familyOf(checkpoint.config);
  const names = family.names(checkpoint.config);
  const ggufNames = family.ggufNames?.(checkpoint.config) ?? [];
  const headSize = config.head_dim ?? config.hidden_size / config.num_attention_heads;
  const tensors: TensorInput[] = [];
  for (const { name, dtype, shape } of checkpoint.tensors.entries.values()) {
    const ours = toOurs(names, name) as string;
    let values = toFloat32(await checkpoint.tensors.read(name), dtype);
    if (/attention\.(query|key)/.test(ours)) values = pairUp(values, shape[0], headSize);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    tensors.push({ name: toTheirs(ggufNames, ours) as string, dtype: 'F32', shape, bytes: () => bytes });
  }
  await checkpoint.close();
  await saveGguf(path, tensors, {
    'general.architecture': { type: 'string', value: 'llama' },
    'llama.block_count': u32(config.num_hidden_layers),
    'llama.context_length': u32(config.max_position_embeddings),
    'llama.embedding_length': u32(config.hidden_size),
    'llama.feed_forward_length': u32(config.intermediate_size),
    'llama.attention.head_count': u32(config.num_attention_heads),
    'llama.attention.head_count_kv': u32(config.num_key_value_heads),
    'llama.attention.layer_norm_rms_epsilon': f32(config.rms_norm_eps),
    'llama.rope.freq_base': f32(config.rope_theta ?? 10000),
    'llama.rope.dimension_count': u32(headSize),
    'llama.attention.key_length': u32(headSize),
    'llama.attention.value_length': u32(headSize),
    ...changes,
  });
}

function pairUp(values: Float32Array, rows: number, headSize: number): Float32Array {
  const columns = values.length / rows;
  const paired = new Float32Array(values.length);
  for (let head = 0; head < rows / headSize; head++)
    for (let half = 0; half < 2; half++)
      for (let i = 0; i < headSize / 2; i++) {
        const from = (head * headSize + (half * headSize) / 2 + i) * columns;
        paired.set(values.subarray(from, from + columns), (head * headSize + 2 * i + half) * columns);
      }
  return paired;
}

async function logitsOf(path: string): Promise<Float32Array> {
  const model = await loadModel(path);
  const { vocabularySize } = model;
  const tokens = Array.from({ length: 12 }, (_, i) => (i * 7 + 3) % vocabularySize);
  const logits = await scope(() =>
    noGrad(() => model.forward(stepBatch([tokens], { vocabularySize })).logits()),
  ).toFloat32();
  model.dispose();
  return logits;
}

describe('a GGUF file', () => {
  it('gives the logits of the directory that it was made of', async () => {
    const path = join(folder, 'tiny.gguf');
    await writeGguf(path);
    expect(await logitsOf(path)).toEqual(await logitsOf(original));
  });

  it('is refused by name where its metadata change what is computed', async () => {
    const path = join(folder, 'odd.gguf');
    await writeGguf(path, { 'llama.logit_scale': f32(2), 'llama.rope.dimension_count': u32(4) });
    await expect(loadModel(path)).rejects.toThrow(/rope\.dimension_count: got 4/);
    await writeGguf(path, { 'llama.logit_scale': f32(2) });
    await expect(loadModel(path)).rejects.toThrow(/may change its results: got llama\.logit_scale/);
  });

  it('says which architectures are known', async () => {
    const path = join(folder, 'unknown.gguf');
    await writeGguf(path, { 'general.architecture': { type: 'string', value: 'bloom' } });
    await expect(loadModel(path)).rejects.toThrow(ModelConfigError);
    await expect(loadModel(path)).rejects.toThrow(
      /unknown architecture: got bloom; expected llama, qwen2, qwen3/,
    );
  });

  it('names all weights that do not fit its metadata', async () => {
    const path = join(folder, 'misfit.gguf');
    await writeGguf(path, { 'llama.block_count': u32(3), 'llama.feed_forward_length': u32(24) });
    await expect(loadModel(path)).rejects.toThrow(
      /ffn_gate\.weight is \[176, 64\].*missing blk\.2\.attn_norm\.weight/,
    );
  });
});
