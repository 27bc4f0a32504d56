import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CheckpointExistsError, openCheckpoint } from '@frugal/checkpoint';
import { noGrad, PackedTensor, scope } from '@frugal/tensor-core';
import { type CausalLM, Linear, PackedEmbedding, PackedLinear, stepBatch } from '@frugal/tensor-core/nn';
import { type Tokenizer, trainByteLevelBpe } from '@frugal/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  convertModel,
  createModel,
  loadModel,
  planConversion,
  saveModel,
  tokenizerOf,
} from '../src/index.js';

const chatTemplate = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}";
const corpus = [
  'It is a matter of great satisfaction that the country is at peace, 却说曹操引兵追赶。'.repeat(9),
];

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 320,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 20000,
};

let folder: string;
let original: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-convert-'));
  original = join(folder, 'original');
  await saveTiny(original, config);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function saveTiny(
  path: string,
  tiny: object,
  change?: (model: CausalLM) => Promise<void>,
): Promise<void> {
  const model = createModel({ ...tiny }, { seed: 11 });
  await change?.(model);
  const files = trainByteLevelBpe(corpus, { vocabularySize: 300 }).files();
  const settings = JSON.parse(files['tokenizer_config.json']);
  files['tokenizer_config.json'] = JSON.stringify({ ...settings, chat_template: chatTemplate });
  await saveModel(model, path, { tokenizerFiles: files });
  model.dispose();
}

/** Every linear layer of the blocks, and a head together with the embedding that is tied to it. */
async function packEverything(model: CausalLM, format: string): Promise<void> {
  const layers = [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof Linear ? [[path, module] as const] : [],
  );
  for (const [path, layer] of layers) {
    const values = await scope(() => layer.effectiveWeight()).toFloat32();
    const packed = PackedTensor.pack(format, values, [layer.outFeatures, layer.inFeatures]);
    const isTied = path === 'head' && model.config.tie_word_embeddings === true;
    model.replace(path, new PackedLinear(packed));
    if (isTied) model.replace('embed', new PackedEmbedding(packed));
  }
}

async function open(path: string): Promise<{ logits: Float32Array; tokenizer: Tokenizer }> {
  const model = await loadModel(path, { precise: true });
  const { vocabularySize } = model;
  const tokens = Array.from({ length: 20 }, (_, i) => (i * 17 + 3) % 300);
  const logits = await scope(() =>
    noGrad(() => model.forward(stepBatch([tokens], { vocabularySize })).logits()),
  ).toFloat32();
  model.dispose();
  const checkpoint = await openCheckpoint(path);
  const tokenizer = await tokenizerOf(checkpoint);
  await checkpoint.close();
  return { logits, tokenizer };
}

function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const scale = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0) / scale;
}

describe('convertModel', () => {
  it('writes GGUF and reads it back: the same weights, tokenizer and chat template', async () => {
    const [gguf, back] = [join(folder, 'f32.gguf'), join(folder, 'back')];
    await convertModel(original, gguf);
    await convertModel(gguf, back);
    const [first, second, third] = [await open(original), await open(gguf), await open(back)];
    expect(second.logits).toEqual(first.logits);
    expect(third.logits).toEqual(first.logits);
    for (const { tokenizer } of [second, third]) {
      for (const text of [...corpus, ' a  b\n', '曹操']) {
        expect(tokenizer.encode(text)).toEqual(first.tokenizer.encode(text));
      }
      expect(tokenizer.chatTemplates).toEqual({ default: chatTemplate });
      expect(tokenizer.bosId).toBe(first.tokenizer.bosId);
    }
  });

  it.each([
    ['linear', { rope_type: 'linear', factor: 2 }],
    ['yarn', { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 }],
    [
      'llama3',
      {
        ...{ rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
        original_max_position_embeddings: 8192,
      },
    ],
  ])('keeps the rotary scaling %s', async (name, rope_scaling) => {
    const source = join(folder, `rope-${name}`);
    await saveTiny(source, { ...config, rope_scaling, tie_word_embeddings: true });
    await convertModel(source, `${source}.gguf`);
    const [before, after] = [await open(source), await open(`${source}.gguf`)];
    expect(difference(before.logits, after.logits)).toBeLessThan(1e-6);
  });

  it.each([
    ['qwen2', { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2', tie_word_embeddings: true }],
    ['qwen3', { architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', head_dim: 24 }],
  ])('converts the family %s there and back', async (name, family) => {
    const source = join(folder, name);
    await saveTiny(source, { ...config, ...family });
    await convertModel(source, `${source}.gguf`);
    await convertModel(`${source}.gguf`, `${source}-back`);
    const [before, there, back] = [
      await open(source),
      await open(`${source}.gguf`),
      await open(`${source}-back`),
    ];
    expect(there.logits).toEqual(before.logits);
    expect(back.logits).toEqual(before.logits);
  });

  it('quantises matrices, and passes quantised ones through', async () => {
    const [q8, copy] = [join(folder, 'q8.gguf'), join(folder, 'copy.gguf')];
    const { tensors, bytesBefore, bytesAfter } = await convertModel(original, q8, { to: 'q8_0' });
    expect(bytesAfter).toBeLessThan(bytesBefore / 3);
    expect(tensors.find(({ name }) => name === 'blk.0.attn_q.weight')?.to).toBe('Q8_0');
    expect(tensors.find(({ name }) => name === 'blk.0.attn_norm.weight')?.to).toBe('F32');
    await convertModel(q8, copy);
    const [exact, first, second] = [await open(original), await open(q8), await open(copy)];
    expect(difference(exact.logits, first.logits)).toBeLessThan(0.05);
    expect(second.logits).toEqual(first.logits);
    const unpacked = join(folder, 'unpacked');
    await convertModel(q8, unpacked);
    expect(difference((await open(unpacked)).logits, first.logits)).toBeLessThan(1e-6);
  });

  it.each([
    ['int4-g32-zero', { tie_word_embeddings: false }],
    ['int8-channel', { tie_word_embeddings: true }],
    ['nf4', {}],
    ['q4_1', {}],
  ])('makes plain numbers of a directory with %s', async (format, changes) => {
    const [path, plain, gguf] = ['packed', 'plain', 'plain.gguf'].map((name) => join(folder, format + name));
    await saveTiny(path, { ...config, ...changes }, (model) => packEverything(model, format));
    await convertModel(path, plain);
    await convertModel(path, gguf);
    const checkpoint = await openCheckpoint(plain);
    await checkpoint.close();
    expect(checkpoint.config.quantization_config).toBeUndefined();
    const expected = await open(path);
    expect(difference(expected.logits, (await open(plain)).logits)).toBeLessThan(1e-6);
    expect(difference(expected.logits, (await open(gguf)).logits)).toBeLessThan(1e-6);
  });

  it('passes blocks of a packed directory through to GGUF', async () => {
    const [path, gguf] = [join(folder, 'blocks'), join(folder, 'blocks.gguf')];
    await saveTiny(path, config, (model) => packEverything(model, 'q5_0'));
    const { tensors } = await convertModel(path, gguf);
    const blocks = tensors.filter(({ name }) => name.startsWith('blk.') && !name.includes('norm'));
    expect(blocks.length).toBe(14);
    for (const { from, to } of blocks) expect([from, to]).toEqual(['Q5_0', 'Q5_0']);
    // The rows of queries and keys stand in another order there.
    expect(difference((await open(path)).logits, (await open(gguf)).logits)).toBeLessThan(1e-6);
  });

  it('goes on where it was interrupted', async () => {
    const output = join(folder, 'resumed');
    const stop = new AbortController();
    const options = { maxShardBytes: 50_000, to: 'bf16' };
    const interrupted = convertModel(original, output, {
      ...options,
      signal: stop.signal,
      onProgress: ({ done, total }) => done > total / 2 && stop.abort(),
    });
    await expect(interrupted).rejects.toThrow(/abort/);
    expect(await stat(output).catch(() => null)).toBeNull();
    await convertModel(original, output, { ...options, resume: true });
    expect(await readdir(folder)).not.toContain('resumed.partial');
    expect(difference((await open(output)).logits, (await open(original)).logits)).toBeLessThan(0.02);
  });

  it('refuses before it writes', async () => {
    await expect(planConversion(original, folder)).rejects.toThrow(CheckpointExistsError);
    await expect(planConversion(original, join(folder, 'x'), { to: 'q9_9' })).rejects.toThrow(
      /unknown target format: got q9_9; expected f32, f16/,
    );
    await expect(planConversion(original, join(folder, 'x'), { to: 'q4_k' })).rejects.toThrow(
      /safetensors cannot hold this format/,
    );
  });
});
