import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '@frugal/checkpoint';
import { compress, parseRecipe, type StorageCheck } from '@frugal/compress';
import { loadModel, saveModel, savingProblems } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { type Backend, noGrad, referenceBackend, scope } from '@frugal/tensor-core';
import { recommendedActivation } from '@frugal/tensor-core/formats';
import { type CausalLM, Linear, type LinearLike, type PackedLinear, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it, onTestFinished } from 'vitest';

const fixtures = fileURLToPath(new URL('../oracles/fixtures', import.meta.url));

function logits(model: CausalLM): Promise<Float32Array> {
  const batch = stepBatch([[1, 2, 3, 4]], { vocabularySize: model.vocabularySize });
  return scope(() => noGrad(() => model.forward(batch).logits())).toFloat32();
}

it.each(['llama-tiny', 'llama-tied'])(
  '%s is written and read back bit for bit, dense and packed',
  async (name) => {
    const directory = await temporary();
    const model = await loadModel(`${fixtures}/${name}`);
    const dense = await logits(model);
    await saveModel(model, join(directory, 'dense'));
    expect(await logits(await loadModel(join(directory, 'dense')))).toEqual(dense);

    const int8 = {
      type: 'quant.rtn',
      targets: { include: ['**'] },
      format: 'int8-channel',
      activation: 'int8',
    };
    const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers: [int8] }] });
    const { report, manifest } = await compress(model, recipe, { methods: [roundToNearest] });
    expect(report.bytesAfter).toBeLessThan(0.4 * report.bytesBefore);
    const quantized = await logits(model);
    await saveModel(model, join(directory, 'int8'), { manifest });
    const checkpoint = await openCheckpoint(join(directory, 'int8'));
    await checkpoint.close();
    expect(checkpoint.manifest).toMatchObject({ kind: 'compress', recipe, bytesAfter: report.bytesAfter });
    expect(await logits(await loadModel(join(directory, 'int8')))).toEqual(quantized);
    const error = Math.hypot(...quantized.map((value, i) => value - dense[i])) / Math.hypot(...dense);
    expect(error).toBeLessThan(0.05);
  },
);

async function packed(
  name: string,
  modifiers: readonly {
    readonly include: readonly string[];
    readonly format: string;
    readonly activation?: string;
  }[],
): Promise<CausalLM> {
  const model = await loadModel(`${fixtures}/${name}`);
  const stage = {
    name: 'pack',
    modifiers: modifiers.map(({ include, ...rest }) => ({
      type: 'quant.rtn',
      targets: { include },
      ...rest,
    })),
  };
  await compress(model, parseRecipe({ version: 1, seed: 0, stages: [stage] }), { methods: [roundToNearest] });
  return model;
}

/** Widths of 64, which are whole blocks of any format with blocks of 32. */
const some = ['blocks.0.attention.*', 'blocks.*.mlp.up'];
const blocks = ['blocks.**'];
const int8Head = { include: ['head'], format: 'int8-channel', activation: 'none' };

describe('every packed format is written and read back bit for bit', () => {
  it.each([
    ['int4-g16', 'compressed-tensors'],
    ['int4-g16-zero', 'compressed-tensors'],
    ['int3-g16', 'compressed-tensors'],
    ['int3-g16-zero-f32', 'compressed-tensors'],
    ['int2-g16-zero', 'compressed-tensors'],
    ['int8-g16-bf16', 'compressed-tensors'],
    ['int4-g8-order', 'compressed-tensors'],
    ['int4-g24', 'frugal'],
    ['int8-channel', 'compressed-tensors'],
    ['fp8-tensor', 'compressed-tensors'],
    ['fp8-channel', 'compressed-tensors'],
    ['fp8-block128', 'frugal'],
    ['nf4', 'bitsandbytes'],
    ['nf4-plain', 'bitsandbytes'],
    ['q4_0', 'frugal'],
    ['q5_1', 'frugal'],
    ['2:4', 'frugal'],
    ['4:8-int8', 'frugal'],
    ['bitmap-f16', 'frugal'],
  ])('%s, as %s', async (format, method) => {
    const path = join(await temporary(), 'model');
    for (const activation of ['none', 'int8-block32'] as const) {
      if (activation !== 'none' && recommendedActivation(format) === 'none') continue;
      const model = await packed('llama-tiny', [{ include: some, format, activation }]);
      await saveModel(model, path, { force: true });
      const { quantization_config: settings } = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
      expect(settings.quant_method).toBe(method);
      expect(await logits(await loadModel(path))).toEqual(await logits(model));
      // A model that was loaded may hold its weights in a layout of the backend's own.
      await saveModel(await loadModel(path), `${path}-again`, { force: true });
      expect(await readFile(join(`${path}-again`, 'model.safetensors'))).toEqual(
        await readFile(join(path, 'model.safetensors')),
      );
    }
  });

  it.each([
    ['int4-g16', 'gptq', { checkpoint_format: 'gptq', sym: true, desc_act: false, bits: 4, group_size: 16 }],
    ['int4-g16-zero', 'gptq', { checkpoint_format: 'gptq_v2', sym: false, bits: 4, group_size: 16 }],
    ['int4-g16-order', 'gptq', { checkpoint_format: 'gptq', desc_act: true }],
    ['int3-g16', 'gptq', { bits: 3 }],
    ['int2-g16-zero', 'gptq', { bits: 2 }],
    ['int8-g32', 'gptq', { bits: 8, group_size: 32 }],
    ['int4-g16', 'awq', { bits: 4, group_size: 16, zero_point: true, version: 'gemm' }],
    ['int4-g16-zero', 'awq', { bits: 4 }],
  ] as const)('%s, asked for as %s', async (format, layout, expected) => {
    const path = join(await temporary(), 'model');
    const model = await packed('llama-tiny', [{ include: ['blocks.*.attention.*'], format }]);
    await saveModel(model, path, { layout });
    const { quantization_config: settings } = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
    expect(settings).toMatchObject({ quant_method: layout, ...expected });
    const again = await loadModel(path);
    for (const module of ['blocks.0.attention.key', 'blocks.1.attention.output']) {
      const [ours, theirs] = [model, again].map((each) =>
        (each.module(module) as PackedLinear).effectiveWeight(),
      );
      expect(await theirs.toFloat32()).toEqual(await ours.toFloat32());
    }
    expect(await logits(again)).toEqual(await logits(model));
  });

  it.each(['int8', 'none'])('int8 beside activations as %s, asked for as ascend', async (activation) => {
    const path = join(await temporary(), 'model');
    const model = await packed('llama-tiny', [{ include: blocks, format: 'int8-channel', activation }]);
    await saveModel(model, path, { layout: 'ascend' });
    const description = JSON.parse(await readFile(join(path, 'quant_model_description.json'), 'utf8'));
    expect(description['model.layers.0.self_attn.q_proj.weight_offset']).toBe(
      activation === 'int8' ? 'W8A8_DYNAMIC' : 'W8A16',
    );
    expect(description['model.embed_tokens.weight']).toBe('FLOAT');
    expect(await logits(await loadModel(path))).toEqual(await logits(model));
    // ModelSlim itself leaves config.json as it was.
    const { quantization_config: _, ...config } = JSON.parse(
      await readFile(join(path, 'config.json'), 'utf8'),
    );
    await writeFile(join(path, 'config.json'), JSON.stringify(config));
    expect(await logits(await loadModel(path))).toEqual(await logits(model));
  });

  it('says what GPTQ and AWQ cannot hold', async () => {
    const mixed = await packed('llama-tiny', [
      { include: ['blocks.0.**'], format: 'int4-g16' },
      { include: ['blocks.1.**'], format: 'int4-g8' },
    ]);
    expect(savingProblems(mixed, new Map(), 'gptq')).toEqual([expect.stringContaining('one number of bits')]);
    expect(savingProblems(mixed, new Map(), 'awq')).toEqual([expect.stringContaining('one group size')]);
    const ordered = await packed('llama-tiny', [{ include: some, format: 'int4-g16-order' }]);
    expect(savingProblems(ordered, new Map(), 'awq')[0]).toContain('no order of columns');
    expect(savingProblems(ordered, new Map(), 'ascend')[0]).toContain('int8 by channel alone');
  });

  it.each(['llama-tiny', 'llama-tied'])('a mixture in %s', async (name) => {
    const path = join(await temporary(), 'model');
    const model = await packed(name, [{ include: blocks, format: 'int4-g16' }, int8Head]);
    await saveModel(model, path);
    expect(await logits(await loadModel(path))).toEqual(await logits(model));
  });
});

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'frugal-models-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

it('says before any work what a layout cannot hold', async () => {
  const model = await loadModel(`${fixtures}/llama-tiny`);
  const modifiers = [
    { type: 'quant.rtn', targets: { include: ['blocks.*.attention.*'] }, format: 'int4-g24' },
  ];
  const recipe = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'pack', modifiers }] });
  const options = (layout?: 'compressed-tensors') => ({
    methods: [roundToNearest],
    storage: ((planned, packed) => savingProblems(planned, packed, layout)) satisfies StorageCheck,
  });
  await expect(compress(model, recipe, options('compressed-tensors'))).rejects.toThrow(
    /8 problems.*layout compressed-tensors: model\.layers\.0\.self_attn\.q_proj as int4-g24: .*no shorter last group/,
  );
  expect(model.module('blocks.0.attention.query')).toBeInstanceOf(Linear);
  await compress(model, recipe, options());
  expect(savingProblems(model)).toEqual([]);
  expect(savingProblems(model, new Map(), 'bitsandbytes')).toHaveLength(8);
});

it('refuses indices that point outside of their matrix', async () => {
  const path = join(await temporary(), 'model');
  await saveModel(await packed('llama-tiny', [{ include: some, format: 'bitmap' }]), path);
  const file = join(path, 'model.safetensors');
  const bytes = await readFile(file);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  const [start] = header['model.layers.0.self_attn.q_proj.weight.rowStarts'].data_offsets;
  bytes.writeInt32LE(1e6, 8 + length + start + 4);
  await writeFile(file, bytes);
  await expect(loadModel(path)).rejects.toThrow(/no parts of bitmap: got rowStarts\[1\] is 1000000/);
});

it('keeps which layers quantise their activations, and loads onto the backend that was asked for', async () => {
  const path = join(await temporary(), 'model');
  const model = await loadModel(`${fixtures}/llama-tiny`);
  const int8 = { type: 'quant.rtn', format: 'int8-channel' };
  const modifiers = [
    { ...int8, targets: { include: ['blocks.*.mlp.*'] }, activation: 'int8' },
    { ...int8, targets: { include: ['blocks.*.attention.*'] }, activation: 'none' },
  ];
  await compress(model, parseRecipe({ version: 1, seed: 0, stages: [{ name: 'int8', modifiers }] }), {
    methods: [roundToNearest],
  });
  await saveModel(model, path);
  const other = Object.create(referenceBackend(), { name: { value: 'other' } }) as Backend;
  const loaded = await loadModel(path, { backend: other });
  expect((loaded.module('blocks.0.mlp.up') as PackedLinear).activation).toBe('int8');
  const query = loaded.module('blocks.1.attention.query') as PackedLinear;
  expect(query.activation).toBe(null);
  expect(query.weight.backend).toBe(other);
  expect(await logits(await loadModel(path))).toEqual(await logits(model));
});

it('writes a head that was parted from its embedding', async () => {
  const path = join(await temporary(), 'model');
  const model = await loadModel(`${fixtures}/llama-tied`);
  const weight = scope(() => noGrad(() => (model.head as LinearLike).effectiveWeight().mul(2)));
  model.replace('head', new Linear(weight));
  await saveModel(model, path);
  expect(JSON.parse(await readFile(join(path, 'config.json'), 'utf8')).tie_word_embeddings).toBe(false);
  expect(await logits(await loadModel(path))).toEqual(await logits(model));
});
