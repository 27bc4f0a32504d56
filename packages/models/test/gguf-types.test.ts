import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type DType,
  type GgufValue,
  layoutOf,
  openCheckpoint,
  saveGguf,
  type TensorInput,
} from '@frugal/checkpoint';
import { noGrad, scope } from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';
import { stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { toOurs, toTheirs } from '../src/families/family.js';
import { convertModel, loadModel, modelTensors, skeleton } from '../src/index.js';
import { familyOf } from '../src/registry.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 48,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-gguf-types-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Where each type keeps the high byte of an f16 that scales a block; MXFP4 and NVFP4 have bytes of their own. */
const types: Readonly<Record<string, number | null>> = {
  ...{ IQ4_XS: 1, IQ3_XXS: 1, IQ3_S: 1, IQ2_XXS: 1, IQ2_XS: 1, IQ2_S: 1, IQ1_S: 1, IQ1_M: 55 },
  ...{ TQ1_0: 53, TQ2_0: 65, MXFP4: null, NVFP4: null },
};

let state = 7;
const draw = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state >>> 24;
};

/** Random blocks of weights of about 0.02. */
function randomBlocks(type: string, values: number): Uint8Array {
  const { elements, bytes } = layoutOf(type as DType);
  const blocks = Uint8Array.from({ length: (values / elements) * bytes }, draw);
  for (let at = 0; at < blocks.length; at += bytes) {
    const half = types[type];
    if (half !== null) blocks[at + half] = (blocks[at + half] & 0x81) | (type.startsWith('TQ') ? 0x24 : 0x10);
    if (type === 'MXFP4') blocks[at] = 120 + (blocks[at] & 3);
    if (type === 'NVFP4') for (let i = 0; i < 4; i++) blocks[at + i] = blocks[at + i] & 15;
  }
  return blocks;
}

const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const metadata: Record<string, GgufValue> = {
  'general.architecture': { type: 'string', value: 'llama' },
  'llama.block_count': u32(1),
  'llama.context_length': u32(64),
  'llama.embedding_length': u32(256),
  'llama.feed_forward_length': u32(512),
  'llama.attention.head_count': u32(4),
  'llama.attention.head_count_kv': u32(2),
  'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
};

/** A file whose matrices have this type, embedding and head included, and one with their numbers in f32. */
async function writeBoth(type: string, packedPath: string, densePath: string): Promise<void> {
  const family = familyOf(config);
  const [names, ggufNames] = [family.names(config), family.ggufNames?.(config) ?? []];
  const packed: TensorInput[] = [];
  const dense: TensorInput[] = [];
  for (const { name: theirs, shape } of modelTensors(skeleton(config))) {
    const name = toTheirs(ggufNames, toOurs(names, theirs) as string) as string;
    const [rows, columns] = shape;
    const size = rows * (columns ?? 1);
    const values = new Float32Array(size).fill(1);
    if (columns) {
      const blocks = randomBlocks(type, size);
      const range = { rows, columns, rowStart: 0, rowCount: rows };
      packedFormat(type.toLowerCase()).unpack([blocks], range, values);
      packed.push({ name, dtype: type as DType, shape, bytes: () => blocks });
    } else packed.push({ name, dtype: 'F32', shape, bytes: () => new Uint8Array(values.buffer) });
    dense.push({ name, dtype: 'F32', shape, bytes: () => new Uint8Array(values.buffer) });
  }
  await saveGguf(packedPath, packed, metadata);
  await saveGguf(densePath, dense, metadata);
}

async function logitsOf(path: string): Promise<Float32Array> {
  const model = await loadModel(path, { precise: true });
  const tokens = Array.from({ length: 9 }, (_, i) => (i * 7 + 3) % 48);
  const options = { vocabularySize: 48 };
  const logits = scope(() => noGrad(() => model.forward(stepBatch([tokens], options)).logits()));
  const values = await logits.toFloat32();
  model.dispose();
  return values;
}

it.each(Object.keys(types))(
  'a model in %s runs as one with its numbers in f32, and converts',
  async (type) => {
    const [packed, dense, copy, unpacked] = ['packed', 'dense', 'copy', 'unpacked'].map((name) =>
      join(folder, `${type}-${name}.gguf`),
    );
    await writeBoth(type, packed, dense);
    const [got, expected] = [await logitsOf(packed), await logitsOf(dense)];
    const largest = expected.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    expect(largest).toBeGreaterThan(0.1);
    for (const [i, value] of expected.entries())
      expect(Math.abs(got[i] - value)).toBeLessThan(2e-5 * largest);
    await convertModel(packed, copy);
    const { tensors, close } = await openCheckpoint(copy);
    expect(tensors.entries.get('blk.0.attn_q.weight')?.dtype).toBe(type);
    await close();
    expect(await logitsOf(copy)).toEqual(got);
    await convertModel(packed, unpacked, { to: 'f32' });
    expect(await logitsOf(unpacked)).toEqual(expected);
  },
);
