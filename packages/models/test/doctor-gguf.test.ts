import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type GgufSource,
  type GgufValue,
  openCheckpoint,
  saveGguf,
  type TensorInput,
  tensorInput,
  toFloat32,
} from '@frugal/checkpoint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertModel, examineModel, type Finding } from '../src/index.js';
import { inverseOrder, pairedRows } from '../src/weights/row-order.js';
import { saveWithTokenizer } from './support/save-with-tokenizer.js';

const HEAD_SIZE = 16;
const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  vocab_size: 300,
  max_position_embeddings: 64,
  bos_token_id: 0,
  eos_token_id: 0,
};
const qwen = { ...llama, architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' };
const u32 = (value: number): GgufValue => ({ type: 'u32', value });
const text = (value: string): GgufValue => ({ type: 'string', value });

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-doctor-gguf-'));
  await save('llama', llama);
  await save('qwen2', qwen);
  await save('tied', { ...llama, tie_word_embeddings: true });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function save(name: string, config: object): Promise<void> {
  const tokenizerConfig = {
    bos_token: '<|endoftext|>',
    eos_token: '<|endoftext|>',
    chat_template: "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}",
  };
  await saveWithTokenizer(join(folder, name), config, { tokenizerConfig });
  await convertModel(join(folder, name), join(folder, `${name}.gguf`));
}

interface Changes {
  readonly fields?: (fields: Map<string, GgufValue>) => void;
  /** What stands for a tensor: none, one, or several. */
  readonly tensors?: (
    name: string,
    shape: readonly number[],
    values: Float32Array,
  ) => TensorInput[] | undefined;
}

/** A sound file with one thing made wrong, and what the doctor says of it. */
async function findings(base: string, { fields, tensors }: Changes = {}): Promise<Finding[]> {
  const checkpoint = await openCheckpoint(join(folder, `${base}.gguf`));
  const source = checkpoint.tensors as GgufSource;
  const metadata = new Map(source.fields);
  fields?.(metadata);
  const inputs: TensorInput[] = [];
  for (const { name, dtype, shape } of source.entries.values()) {
    const values = toFloat32(await source.read(name), dtype);
    inputs.push(...(tensors?.(name, shape, values) ?? [tensorInput(name, 'F32', shape, values)]));
  }
  await checkpoint.close();
  const path = join(folder, 'changed.gguf');
  await saveGguf(path, inputs, metadata);
  return examineModel(path);
}

async function problems(base: string, changes?: Changes): Promise<Finding[]> {
  return (await findings(base, changes)).filter(({ level }) => level !== 'ok');
}

const checksOf = (found: readonly Finding[]) => found.map(({ check }) => check);
const only = (change: string, result: TensorInput[]) => (name: string) =>
  name === change ? result : undefined;

describe('the checkpoint doctor on GGUF files', () => {
  it.each(['llama', 'qwen2', 'tied'])('finds nothing wrong with a sound file: %s', async (base) => {
    expect(await problems(base)).toEqual([]);
  });

  it('finds queries and keys in the order of other architectures, and says where weights do not tell', async () => {
    const reorder = pairedRows(HEAD_SIZE, HEAD_SIZE); // of a file with pairs side by side, as pairs half a head apart
    // As in trained models, the size of a row depends on its frequency; then rows stand in the order of the file.
    const trained =
      (sideBySide: boolean) => (name: string, shape: readonly number[], values: Float32Array) => {
        if (!/attn_[qk]\.weight/.test(name)) return undefined;
        const place = sideBySide
          ? inverseOrder(reorder)
          : Int32Array.from({ length: HEAD_SIZE }, (_, i) => i);
        const shaped = values.map((value, at) => {
          const inHead = place[Math.floor(at / shape[1]) % HEAD_SIZE];
          return value * Math.exp((inHead % (HEAD_SIZE / 2)) / 3);
        });
        return [tensorInput(name, 'F32', shape, shaped)];
      };
    expect(await problems('llama', { tensors: trained(true) })).toEqual([]);
    expect(await problems('qwen2', { tensors: trained(false) })).toEqual([]);
    const [unpermuted, ...others] = await problems('llama', { tensors: trained(false) });
    expect(others).toEqual([]);
    expect(unpermuted).toMatchObject({ check: 'rope-order', level: 'error' });
    expect(unpermuted.what).toContain('are not reordered, as llama files must be');
    const [permuted] = await problems('qwen2', { tensors: trained(true) });
    expect(permuted.what).toContain('are reordered, as qwen2 files must not be');
    const undecided = (await findings('llama')).find(({ check }) => check === 'rope-order');
    expect(undecided).toMatchObject({ level: 'ok', what: expect.stringContaining('do not tell') });
    const decided = await findings('llama', { tensors: trained(true) });
    expect(checksOf(decided)).not.toContain('rope-order');
  });

  it('finds heads that were lost, changed, or stored twice', async () => {
    const tied = (await findings('tied')).find(({ check }) => check === 'tied-head');
    expect(tied).toMatchObject({ level: 'ok', consequence: expect.stringContaining('tie_word_embeddings') });
    const bias = tensorInput('output.bias', 'F32', [300], new Float32Array(300));
    const lost = await problems('llama', { tensors: only('output.weight', [bias]) });
    expect(checksOf(lost)).toContain('missing-head');
    const cut = tensorInput('output.weight', 'F32', [290, 32], new Float32Array(290 * 32).fill(1));
    const smaller = await problems('llama', { tensors: only('output.weight', [cut]) });
    expect(checksOf(smaller)).toContain('head-shape');
    const twice = await problems('tied', {
      tensors: (name, shape, values) =>
        name === 'token_embd.weight'
          ? [name, 'output.weight'].map((each) => tensorInput(each, 'F32', shape, values))
          : undefined,
    });
    expect(twice).toMatchObject([{ check: 'tied-head', level: 'warning' }]);
  });

  it('compares counts and sizes of heads with the tensors', async () => {
    const with_ = async (key: string, value: GgufValue) =>
      (await problems('llama', { fields: (fields) => fields.set(`llama.attention.${key}`, value) })).find(
        ({ check }) => check === 'attention-shape',
      );
    expect((await with_('key_length', u32(8)))?.evidence).toContain(
      'blk.0.attn_q.weight is [32, 32], the metadata say [16, 32]',
    );
    expect((await with_('value_length', u32(8)))?.evidence).toContain('blk.0.attn_v.weight is [32, 32]');
    expect((await with_('head_count_kv', u32(1)))?.evidence).toContain('blk.0.attn_k.weight is [32, 32]');
    const perLayer: GgufValue = { type: 'array', items: 'i32', value: Int32Array.of(2, 1) };
    expect((await with_('head_count_kv', perLayer))?.evidence).toMatch(/^blk\.1\.attn_k/);
    expect((await with_('head_count', u32(3)))?.evidence).toContain('2 does not divide 3 heads');
    expect(await with_('head_count_kv', u32(2))).toBeUndefined();
  });

  it('compares the rows of the embedding with the tokens', async () => {
    const shortened = (fields: Map<string, GgufValue>, count: number) => {
      for (const key of ['tokens', 'token_type', 'scores']) {
        const field = fields.get(`tokenizer.ggml.${key}`);
        if (field?.type !== 'array') continue;
        fields.set(`tokenizer.ggml.${key}`, {
          ...field,
          value: (field.value as readonly GgufValue[]).slice(0, count),
        } as GgufValue);
      }
    };
    const [padded, ...others] = await problems('llama', { fields: (fields) => shortened(fields, 290) });
    expect(others).toEqual([]);
    expect(padded).toMatchObject({ check: 'padded-vocabulary', level: 'error' });
    expect(padded.what).toBe('token_embd.weight has 300 rows, the tokenizer 290 tokens');
    const cut = (name: string, _: readonly number[], values: Float32Array) =>
      /^(token_embd|output)\.weight$/.test(name)
        ? [tensorInput(name, 'F32', [280, 32], values.slice(0, 280 * 32))]
        : undefined;
    const resized = (fields: Map<string, GgufValue>) => fields.set('llama.vocab_size', u32(280));
    expect(await problems('llama', { tensors: cut, fields: resized })).toMatchObject([
      { check: 'vocabulary', level: 'error', evidence: expect.stringContaining('without a row: 280') },
    ]);
    const mislabelled = (fields: Map<string, GgufValue>) => fields.set('llama.vocab_size', u32(256));
    expect(await problems('llama', { fields: mislabelled })).toMatchObject([
      { check: 'vocabulary', level: 'warning' },
    ]);
  });

  it('compares BOS, end of turn and chat template', async () => {
    const template = (source: string) => (fields: Map<string, GgufValue>) =>
      fields.set('tokenizer.chat_template', text(source));
    const unnamed = await problems('llama', {
      fields: (fields) => {
        fields.delete('tokenizer.ggml.bos_token_id');
        fields.set('tokenizer.ggml.add_bos_token', { type: 'bool', value: true });
      },
    });
    expect(checksOf(unnamed)).toContain('bos-id');
    const foreign = await problems('llama', { fields: template("<s>{{ messages[0]['content'] }}") });
    expect(foreign.find(({ check }) => check === 'bos-mismatch')?.evidence).toBe(
      '<s> is no token here, but 3; BOS is 0',
    );
    const twice = template("{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}");
    expect(checksOf(await problems('llama', { fields: twice }))).toEqual(['double-bos']);
    const without = await problems('llama', {
      fields: (fields) => {
        fields.set('tokenizer.ggml.add_bos_token', { type: 'bool', value: true });
        template("{{ messages[0]['content'] }}")(fields);
      },
    });
    expect(checksOf(without)).toEqual(['missing-bos']);
    const broken = await problems('llama', { fields: template("{{ raise_exception('no') }}") });
    expect(checksOf(broken)).toEqual(['chat-template']);
  });

  it('says why a file cannot be opened as well', async () => {
    const found = await problems('llama', {
      fields: (fields) => {
        fields.set('llama.attention.key_length', u32(8));
        fields.set('llama.odd', u32(1));
      },
    });
    expect(checksOf(found)).toEqual(expect.arrayContaining(['structure', 'attention-shape']));
  });
});
