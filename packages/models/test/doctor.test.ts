import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  openCheckpoint,
  saveSafetensors,
  type TensorInput,
  tensorInput,
  toFloat32,
} from '@frugal/checkpoint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { examineModel, type Finding } from '../src/index.js';
import { inverseOrder, pairedRows } from '../src/weights/row-order.js';
import { saveWithTokenizer, type TokenizerChanges } from './support/save-with-tokenizer.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 300,
  max_position_embeddings: 64,
  eos_token_id: 0,
};
const chatml =
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'frugal-doctor-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Changes extends TokenizerChanges {
  readonly config?: (config: Record<string, unknown>) => void;
  readonly tensors?: (
    name: string,
    shape: readonly number[],
    values: Float32Array,
  ) => TensorInput[] | undefined;
}

/** A sound checkpoint with one thing made wrong. */
async function made(name: string, changes: Changes = {}): Promise<string> {
  const path = join(folder, name);
  await saveWithTokenizer(path, config, changes);
  const json = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
  changes.config?.(json);
  await writeFile(join(path, 'config.json'), JSON.stringify(json));
  if (changes.tensors) await changeTensors(path, changes.tensors);
  return path;
}

async function changeTensors(path: string, change: NonNullable<Changes['tensors']>): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  const inputs: TensorInput[] = [];
  for (const { name, dtype, shape } of checkpoint.tensors.entries.values()) {
    const values = toFloat32(await checkpoint.tensors.read(name), dtype);
    inputs.push(...(change(name, shape, values) ?? [tensorInput(name, 'F32', shape, values)]));
  }
  await checkpoint.close();
  await saveSafetensors(join(path, 'model.safetensors'), inputs, { format: 'pt' });
}

async function problems(path: string): Promise<Finding[]> {
  return (await examineModel(path)).filter(({ level }) => level !== 'ok');
}

async function checksOf(path: string): Promise<string[]> {
  return (await problems(path)).map(({ check }) => check);
}

describe('the checkpoint doctor', () => {
  it('finds nothing wrong with a sound model', async () => {
    expect(await problems(await made('sound'))).toEqual([]);
  });

  it('tells the two versions of GPTQ zero points apart', async () => {
    const gptq = (says: string, stored: number): Changes => ({
      config: (json) => {
        json.quantization_config = { quant_method: 'gptq', bits: 4, group_size: 32, checkpoint_format: says };
      },
      tensors: (name, [rows, columns]) => {
        if (!name.endsWith('up_proj.weight')) return undefined;
        const base = name.slice(0, -'.weight'.length);
        const word = (code: () => number) => {
          let bits = 0;
          for (let shift = 0; shift < 32; shift += 4) bits |= code() << shift;
          return bits;
        };
        let seed = rows;
        const spread = () => {
          seed = (seed * 1103515245 + 12345) & 0x7fffffff;
          return 5 + ((seed >> 16) % 7); // around 8
        };
        const ints = (count: number, code: () => number) =>
          Int32Array.from({ length: count }, () => word(code));
        return [
          tensorInput(`${base}.qweight`, 'I32', [columns / 8, rows], ints((columns / 8) * rows, spread)),
          tensorInput(
            `${base}.qzeros`,
            'I32',
            [1, rows / 8],
            ints(rows / 8, () => stored),
          ),
          tensorInput(`${base}.scales`, 'F16', [1, rows], new Uint16Array(rows).fill(0x2000)),
        ];
      },
    });
    expect(await problems(await made('v1', gptq('gptq', 7)))).toEqual([]);
    expect(await problems(await made('v2', gptq('gptq_v2', 8)))).toEqual([]);
    const [finding] = await problems(await made('v2-as-v1', gptq('gptq', 8)));
    expect(finding).toMatchObject({ check: 'zero-points', level: 'error' });
    expect(finding.fix).toContain('checkpoint_format to "gptq_v2"');
    expect(await checksOf(await made('v1-as-v2', gptq('gptq_v2', 7)))).toEqual(['zero-points']);
  });

  it('finds labels of quantisation that do not fit the tensors', async () => {
    const labelled = await made('label', {
      config: (json) => {
        json.quantization_config = { quant_method: 'awq', bits: 4, group_size: 32, version: 'gemm' };
      },
    });
    expect(await checksOf(labelled)).toEqual(['quantization-label']);
    const unlabelled = await made('no-label', {
      tensors: (name, shape) =>
        name.endsWith('layers.1.mlp.up_proj.weight')
          ? [
              tensorInput(
                name.replace('.weight', '.qweight'),
                'I32',
                [shape[1] / 8, shape[0]],
                new Int32Array((shape[0] * shape[1]) / 8).fill(1),
              ),
            ]
          : undefined,
    });
    expect(await checksOf(unlabelled)).toEqual(['structure', 'quantization-label']);
  });

  it('finds heads that are missing, and tied ones that are not', async () => {
    const missing = await made('no-head', {
      tensors: (name) => (name === 'lm_head.weight' ? [] : undefined),
    });
    expect(await checksOf(missing)).toEqual(['structure', 'missing-head']);
    const untied = await made('untied', {
      config: (json) => {
        json.tie_word_embeddings = true;
      },
    });
    expect(await checksOf(untied)).toEqual(['tied-head']);
  });

  it('finds queries and keys in the order of GGUF', async () => {
    // As in trained models, the size of a row depends on its frequency.
    const trained = (name: string, shape: readonly number[], values: Float32Array, order?: Int32Array) => {
      if (!/[qk]_proj/.test(name)) return undefined;
      const columns = shape[1];
      const shaped = new Float32Array(values.length);
      for (let row = 0; row < shape[0]; row++) {
        const inHead = row % 16;
        const place = order ? row - inHead + order[inHead] : row;
        for (let c = 0; c < columns; c++)
          shaped[row * columns + c] = values[place * columns + c] * Math.exp((place % 8) / 3);
      }
      return [tensorInput(name, 'F32', shape, shaped)];
    };
    const good = await made('rope-good', { tensors: (...args) => trained(...args) });
    expect(await checksOf(good)).toEqual([]);
    const order = inverseOrder(pairedRows(16, 16));
    const bad = await made('rope-bad', { tensors: (...args) => trained(...args, order) });
    expect(await checksOf(bad)).toEqual(['rope-order']);
  });

  it('compares vocabulary, special tokens and chat template', async () => {
    const bos = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|endoftext|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: {},
    };
    const addsBos = (json: { post_processor: unknown }) => {
      json.post_processor = bos;
    };
    const roles = { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' };
    const foreign = await made('foreign-template', { tokenizerConfig: { chat_template: chatml } });
    expect(await checksOf(foreign)).toContain('template-tokens');
    const twice = await made('twice', {
      tokenizer: addsBos,
      tokenizerConfig: {
        ...roles,
        chat_template: "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}",
      },
    });
    expect(await examineModel(twice)).toContainEqual(
      expect.objectContaining({ check: 'double-bos', level: 'ok' }),
    );
    const thrice = await made('thrice', {
      tokenizerConfig: {
        ...roles,
        chat_template: "{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}",
      },
    });
    expect(await checksOf(thrice)).toContain('double-bos');
    const without = await made('without', {
      tokenizer: addsBos,
      tokenizerConfig: { ...roles, chat_template: "{% for m in messages %}{{ m['content'] }}{% endfor %}" },
    });
    expect(await checksOf(without)).toContain('missing-bos');
    const broken = await made('broken', {
      tokenizerConfig: { chat_template: "{{ raise_exception('no') }}" },
    });
    expect(await checksOf(broken)).toContain('chat-template');
    const marks = ['<|im_start|>', '<|im_end|>'];
    const endless = await made('endless', {
      config: (json) => {
        json.vocab_size = 300;
      },
      tokenizerConfig: { chat_template: chatml },
      tokenizer: (json) => {
        for (const [i, content] of marks.entries())
          json.added_tokens.push({ ...json.added_tokens[0], id: 290 + i, content });
      },
    });
    expect(await checksOf(endless)).toContain('end-of-turn');
  });

  it('finds ends of text that generation_config.json lacks', async () => {
    const path = await made('ends', {
      config: (json) => {
        json.eos_token_id = [0, 5];
      },
      files: { 'generation_config.json': JSON.stringify({ eos_token_id: 0 }) },
    });
    expect(await checksOf(path)).toContain('generation-eos');
  });

  it('finds numbers that are none, and reads on after errors', async () => {
    const path = await made('nan', {
      config: (json) => {
        json.intermediate_size = 47;
      },
      tensors: (name, shape, values) => {
        if (name !== 'model.norm.weight') return undefined;
        values[3] = Number.NaN;
        return [tensorInput(name, 'F32', shape, values)];
      },
    });
    expect(await checksOf(path)).toEqual(['structure', 'weights']);
    expect(await checksOf(join(folder, 'nothing'))).toEqual(['structure']);
  });
});
