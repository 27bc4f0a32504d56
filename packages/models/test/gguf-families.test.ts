import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type GgufSource,
  type GgufValue,
  openCheckpoint,
  openGguf,
  saveGguf,
  saveSafetensors,
  type TensorInput,
} from '@frugal/checkpoint';
import { noGrad, scope } from '@frugal/tensor-core';
import { PackedLinear, stepBatch } from '@frugal/tensor-core/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelTensors } from '../src/gguf/model-tensors.js';
import { convertModel, createModel, loadModel, planConversion, saveModel } from '../src/index.js';
import { relativeDifference } from './support/oracle.js';
import { tinyTokenizer } from './support/tiny-tokenizer.js';

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures/families', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-gguf-families-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A fixture whose logits transformers agrees with, and what must change before GGUF can hold it. */
interface Case {
  readonly fixture: string;
  /** Why the fixture as it is gets refused; null: it does not. */
  readonly refused: RegExp | null;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Tensors that the changed config has no place for. */
  readonly without?: RegExp;
}

const plain = { rope_parameters: { rope_type: 'default', rope_theta: 500 } };
const noBias = { attention_bias: false, mlp_bias: false };
const yarn = { rope_type: 'yarn', rope_theta: 10000, factor: 4, original_max_position_embeddings: 16 };
const full = { use_sliding_window: false, layer_types: null };

const cases: readonly Case[] = [
  { fixture: 'llama-1', refused: /hidden_act/, config: { hidden_act: 'silu' } },
  { fixture: 'llama-2', refused: /hidden_act/, config: { hidden_act: 'silu' } },
  { fixture: 'llama-3', refused: null },
  { fixture: 'mistral-1', refused: /rotary scaling: got dynamic/, config: plain },
  { fixture: 'mixtral-1', refused: null },
  { fixture: 'qwen2-2', refused: /use_sliding_window/, config: full },
  {
    fixture: 'qwen3-3',
    refused: /attention_bias/,
    config: { attention_bias: false, ...plain },
    without: /proj\.bias$/,
  },
  {
    fixture: 'qwen3-moe-1',
    refused: /attention_bias/,
    config: { attention_bias: false, ...plain, ...full, norm_topk_prob: true },
    without: /proj\.bias$/,
  },
  {
    fixture: 'gemma2-1',
    refused: /query_pre_attn/,
    config: { query_pre_attn_scalar: 16, tie_word_embeddings: true },
  },
  { fixture: 'gemma3-1', refused: /query_pre_attn/, config: { query_pre_attn_scalar: 8 } },
  {
    fixture: 'deepseek-v2-1',
    refused: /mlp_bias/,
    config: { ...noBias, rope_parameters: { ...yarn, mscale: 0.7, mscale_all_dim: 0.7 } },
    without: /proj\.bias$/,
  },
  {
    fixture: 'deepseek-v2-2',
    refused: /mlp_bias/,
    config: { ...noBias, rope_scaling: null },
    without: /proj\.bias$/,
  },
  { fixture: 'deepseek-v3-3', refused: /rope_interleave/, config: { rope_interleave: true } },
  {
    fixture: 'deepseek-v3-4',
    refused: /attention_bias/,
    config: { attention_bias: false },
    without: /proj\w*\.bias$/,
  },
  {
    fixture: 'smollm3-1',
    refused: /mlp_bias/,
    config: {
      ...noBias,
      ...full,
      no_rope_layers: [1, 1, 1],
      rope_parameters: { ...yarn, mscale: 0.7, mscale_all_dim: 1.3 },
    },
    without: /proj\.bias$/,
  },
];

/** The fixture with a tokenizer, changed as the case says or not. */
async function prepare({ fixture, config, without }: Case, changed: boolean): Promise<string> {
  const path = join(folder, `${fixture}${changed ? '' : '-as-it-is'}`);
  await mkdir(path, { recursive: true });
  const source = await openCheckpoint(join(fixtures, fixture));
  const inputs: TensorInput[] = [];
  for (const { name, dtype, shape } of source.tensors.entries.values()) {
    if (changed && without?.test(name)) continue;
    const bytes = await source.tensors.read(name);
    inputs.push({ name, dtype, shape, bytes: () => bytes });
  }
  const json = { ...source.config, ...(changed && config) };
  await source.close();
  await saveSafetensors(join(path, 'model.safetensors'), inputs, { format: 'pt' });
  await writeFile(join(path, 'config.json'), JSON.stringify(json));
  for (const [name, content] of Object.entries(tinyTokenizer(json.vocab_size as number)))
    await writeFile(join(path, name), JSON.stringify(content));
  return path;
}

async function logitsOf(path: string): Promise<Float32Array> {
  const model = await loadModel(path, { precise: true });
  const { vocabularySize } = model;
  const tokens = Array.from({ length: 14 }, (_, i) => (i * 7 + 3) % vocabularySize);
  const logits = await scope(() =>
    noGrad(() => model.forward(stepBatch([tokens], { vocabularySize })).logits()),
  ).toFloat32();
  model.dispose();
  return logits;
}

it.each(cases.filter(({ refused }) => refused))(
  '$fixture is refused where GGUF cannot hold it',
  async (one) => {
    const path = await prepare(one, false);
    await expect(planConversion(path, `${path}.gguf`)).rejects.toThrow(one.refused as RegExp);
  },
);

it.each(cases)('$fixture has the same logits as GGUF, and as a directory made of that', async (one) => {
  const path = await prepare(one, true);
  await convertModel(path, `${path}.gguf`, { force: true });
  await convertModel(`${path}.gguf`, `${path}-back`, { force: true });
  const wanted = await logitsOf(path);
  expect(relativeDifference(await logitsOf(`${path}.gguf`), wanted)).toBeLessThan(2e-5);
  expect(relativeDifference(await logitsOf(`${path}-back`), wanted)).toBeLessThan(2e-5);
  const { model_type } = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
  expect(JSON.parse(await readFile(join(`${path}-back`, 'config.json'), 'utf8')).model_type).toBe(model_type);
});

/** What older and newer converters write for the same model. */
async function rewrite(
  path: string,
  name: string,
  change: (source: GgufSource, fields: Map<string, GgufValue>) => Promise<TensorInput[]>,
): Promise<string> {
  const source = await openGguf(path);
  const fields = new Map(source.fields);
  const output = join(folder, `${name}.gguf`);
  await saveGguf(output, await change(source, fields), fields);
  await source.close();
  return output;
}

async function inputsOf({ entries, read }: Pick<GgufSource, 'entries' | 'read'>): Promise<TensorInput[]> {
  return Promise.all(
    [...entries.values()].map(async ({ name, dtype, shape }) => {
      const bytes = await read(name);
      return { name, dtype, shape, bytes: () => bytes };
    }),
  );
}

describe('other layouts of the same model', () => {
  it.each(['mixtral-1', 'deepseek-v3-3'])('%s with a tensor for each expert', async (fixture) => {
    const path = await prepare(cases.find((one) => one.fixture === fixture) as Case, true);
    await convertModel(path, `${path}.gguf`, { force: true });
    const older = await rewrite(`${path}.gguf`, `${fixture}-older`, async (source, fields) => {
      for (const part of ['key', 'value']) {
        const expanded = fields.get(`deepseek2.attention.${part}_length_mla`);
        if (!expanded) continue;
        fields.set(`deepseek2.attention.${part}_length`, expanded);
        fields.delete(`deepseek2.attention.${part}_length_mla`);
      }
      return inputsOf(modelTensors(source));
    });
    const { tensors } = await openCheckpoint(older);
    expect(tensors.entries.has('blk.1.ffn_down.0.weight')).toBe(true);
    await tensors.close();
    expect(await logitsOf(older)).toEqual(await logitsOf(`${path}.gguf`));
  });

  it('gates and ups of experts in one tensor', async () => {
    const path = await prepare(cases.find(({ fixture }) => fixture === 'qwen3-moe-1') as Case, true);
    await convertModel(path, `${path}.gguf`, { force: true });
    const fused = await rewrite(`${path}.gguf`, 'fused', async (source) => {
      const inputs = await inputsOf(source);
      const of = (name: string) => inputs.find((input) => input.name === name) as TensorInput;
      return inputs.flatMap((input) => {
        if (input.name.includes('ffn_up_exps')) return [];
        if (!input.name.includes('ffn_gate_exps')) return [input];
        const [gate, up] = [input, of(input.name.replace('gate', 'up'))].map((x) => x.bytes() as Uint8Array);
        const [experts, rows, columns] = input.shape;
        const size = 4 * rows * columns;
        const bytes = new Uint8Array(2 * gate.length);
        for (let e = 0; e < experts; e++) {
          bytes.set(gate.subarray(e * size, (e + 1) * size), 2 * e * size);
          bytes.set(up.subarray(e * size, (e + 1) * size), (2 * e + 1) * size);
        }
        const name = input.name.replace('gate', 'gate_up');
        return [{ name, dtype: input.dtype, shape: [experts, 2 * rows, columns], bytes: () => bytes }];
      });
    });
    expect(await logitsOf(fused)).toEqual(await logitsOf(`${path}.gguf`));
  });

  it('experts that are quantised stay packed, one by one', async () => {
    const config = {
      ...{ architectures: ['MixtralForCausalLM'], model_type: 'mixtral', vocab_size: 96 },
      ...{ hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 2 },
      ...{ num_key_value_heads: 1, num_local_experts: 4, num_experts_per_tok: 2 },
    };
    const path = join(folder, 'packed-experts');
    const created = createModel(config, { seed: 5 });
    const files = Object.entries(tinyTokenizer(96)).map(([name, json]) => [name, JSON.stringify(json)]);
    await saveModel(created, path, { tokenizerFiles: Object.fromEntries(files) });
    created.dispose();
    await convertModel(path, `${path}.gguf`, { to: 'q8_0' });
    const model = await loadModel(`${path}.gguf`);
    for (const kind of ['gate', 'up', 'down'])
      expect(model.module(`blocks.1.mlp.experts.${kind}.sites.3`)).toBeInstanceOf(PackedLinear);
    model.dispose();
    await convertModel(`${path}.gguf`, `${path}-unpacked`);
    const unpacked = await logitsOf(`${path}-unpacked`);
    expect(relativeDifference(await logitsOf(`${path}.gguf`), unpacked)).toBeLessThan(2e-5);
  });
});
