import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { compress, InvariantError, parseRecipe } from '@frugal/compress';
import {
  attachAdapters,
  attachLoftQ,
  attachPrincipalAdapters,
  loadAdapter,
  loftq,
  loraAdd,
  loraPlus,
  saveAdapter,
} from '@frugal/lora';
import { createModel, huggingFaceNames, loadModel, modelTensors } from '@frugal/models';
import { magnitude } from '@frugal/prune';
import { noGrad, scope, type Tensor, tensor } from '@frugal/tensor-core';
import { type CausalLM, Linear, Module, nextTokenBatch, stepBatch } from '@frugal/tensor-core/nn';
import { constant, createOptimizer, languageModelLoss, train } from '@frugal/trainer';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';

const fixtures = fileURLToPath(new URL('../oracles/fixtures', import.meta.url));
const settings: { rank: number; loftqRows: number; steps: number; learningRate: number; ratio: number } =
  JSON.parse(readFileSync(join(fixtures, 'adapter-methods.json'), 'utf8'));
const expected = await openSafetensors(join(fixtures, 'adapter-methods.safetensors'));
afterAll(() => expected.close());

async function stored(name: string): Promise<{ shape: readonly number[]; values: Float32Array }> {
  const { dtype, shape } = expected.entries.get(name)!;
  return { shape, values: toFloat32(await expected.read(name), dtype) };
}
async function storedTensor(name: string): Promise<Tensor> {
  const { shape, values } = await stored(name);
  return tensor(values, { shape });
}

/** A model of one layer. */
class Single extends Module {
  layer: Linear;
  constructor(weight: Tensor) {
    super();
    this.layer = new Linear(weight);
  }
}
const one = async () => new Single(await storedTensor('weight'));
const targets = { include: ['layer'] };

const read = (make: () => Tensor) => scope(() => noGrad(make)).toFloat32();

describe('PiSSA', () => {
  it('begins with the product that PEFT takes out of the weight', async () => {
    const model = await one();
    const alpha = 3 * settings.rank;
    const set = await attachPrincipalAdapters(model, { targets, rank: settings.rank, alpha });
    const layer = set.layers.get('layer')!;
    const product = await read(() => layer.up.value.matmul(layer.down.value).mul(layer.scale));
    expect(difference(product, (await stored('pissa/product')).values)).toBeLessThan(2e-6);
    const rest = await read(() =>
      layer.base.effectiveWeight().sub(layer.up.value.matmul(layer.down.value).mul(3)),
    );
    expect(difference(rest, (await stored('pissa/rest')).values)).toBeLessThan(2e-6);
    // Both factors share the singular values: their rows and columns are equally long.
    const lengths = await read(() => layer.down.value.pow(2).sum(1).div(layer.up.value.pow(2).sum(0)));
    for (const each of lengths) expect(each).toBeCloseTo(1, 4);
    expect(await layer.effectiveWeight().toFloat32()).toEqual((await stored('weight')).values);
  });

  it.each([false, true])(
    'is saved as an ordinary adapter of the same base (DoRA: %s)',
    async (magnitudes) => {
      const model = await loadModel(join(fixtures, 'llama-tiny'));
      const before = await logits(model);
      const include = ['blocks.*.attention.*', 'blocks.*.mlp.down'];
      const set = await attachPrincipalAdapters(model, {
        targets: { include },
        rank: 3,
        magnitudes,
        rankStabilized: true,
      });
      expect(difference(await logits(model), before)).toBeLessThan(1e-6);
      for (const { up } of set.layers.values()) up.value = noGrad(() => scope(() => up.value.mul(1.5)));
      const tuned = await logits(model);
      expect(difference(tuned, before)).toBeGreaterThan(1e-2);
      const folder = await temporary();
      const names = huggingFaceNames(model.config);
      await saveAdapter(set, folder, { names });
      set.detach();
      expect(await logits(model)).toEqual(before);
      const again = await loadAdapter(model, folder, names);
      expect([...again.layers.values()].every(({ rank }) => rank === 6)).toBe(true);
      expect(difference(await logits(model), tuned)).toBeLessThan(1e-5);
    },
  );
});

describe('LoftQ', () => {
  it.each(['q4_0', 'q8_0'])('gives Q + B A of the paper: %s', async (format) => {
    const weight = (await storedTensor('weight')).slice(0, 0, settings.loftqRows).copy();
    const wanted = (await stored(`loftq/${format}`)).values;
    const size = weight.shape[0] * weight.shape[1];
    const errors: number[] = [];
    for (const rounds of [1, 2]) {
      const { quantized, down, up } = await loftq(weight, { format, rank: settings.rank, rounds });
      const sum = await read(() => quantized.unpack().add(up.matmul(down)));
      const rows = wanted.subarray(0, rounds * size);
      const distances = Array.from({ length: rounds }, (_, r) =>
        difference(sum, rows.subarray(r * size, (r + 1) * size)),
      );
      // The best round is kept, so that it is one of those of the paper.
      expect(Math.min(...distances)).toBeLessThan(2e-6);
      errors.push(
        (
          await read(() =>
            weight
              .sub(tensor(sum, { shape: weight.shape }))
              .pow(2)
              .sum(),
          )
        )[0],
      );
    }
    expect(errors[1]).toBeLessThanOrEqual(errors[0]);
  });

  it('leaves a packed base and adapters that make up for it', async () => {
    const closeness = async (attach: (model: CausalLM) => Promise<void>) => {
      const model = await loadModel(join(fixtures, 'llama-tiny'));
      const before = await logits(model);
      await attach(model);
      return difference(await logits(model), before);
    };
    const options = { targets: { include: ['blocks.*.attention.*'] }, rank: 24, format: 'q4_0' };
    const withAdapters = await closeness(async (model) => void (await attachLoftQ(model, options)));
    const without = await closeness(async (model) => (await attachLoftQ(model, options)).detach());
    expect(withAdapters).toBeLessThan(0.7 * without);
    const packed = await loadModel(join(fixtures, 'llama-tiny'));
    (await attachLoftQ(packed, options)).detach();
    await expect(attachLoftQ(packed, options)).rejects.toThrow(/packed already: got blocks\.0\.attention/);
  });
});

it('LoRA+ follows PEFT', async () => {
  const model = await loadModel(join(fixtures, 'llama-tiny'));
  const names = huggingFaceNames(model.config);
  const { layers } = await loadAdapter(model, join(fixtures, 'adapters/lora'), names);
  const flat = [...new Int32Array((await expected.read('plus/input_ids')).buffer)];
  const batch = nextTokenBatch([Int32Array.from(flat.slice(0, 12)), Int32Array.from(flat.slice(12))]);
  const { steps, learningRate, ratio } = settings;
  const run = train({
    model,
    batches: { next: () => batch, state: () => null, restore: () => {} },
    loss: languageModelLoss(model),
    optimizer: createOptimizer(loraPlus(ratio)),
    schedule: constant({ peak: learningRate, warmup: 0 }),
    steps,
  });
  for await (const _ of run);
  for (const [path, { down, up }] of layers)
    for (const [part, { value }] of Object.entries({ lora_A: down, lora_B: up })) {
      const { values } = await stored(`plus/base_model.model.${names.toTheirs(path)}.${part}.weight`);
      expect(difference(await value.toFloat32(), values), `${path} ${part}`).toBeLessThan(2e-4);
    }
});

const shape = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 128,
};
const ids = Array.from({ length: 24 }, (_, i) => (i * 37 + 11) % 128);

describe('lora.add', () => {
  const recipe = (options: object) =>
    parseRecipe({
      version: 1,
      seed: 3,
      stages: [
        {
          name: 'prune',
          modifiers: [{ type: 'prune.magnitude', targets: { include: ['blocks.**'] }, sparsity: 0.5 }],
        },
        {
          name: 'heal',
          modifiers: [{ type: 'lora.add', targets: { include: ['blocks.**'] }, rank: 4, ...options }],
        },
      ],
    });
  const run = async (model: CausalLM, options: object) => {
    const losses: number[] = [];
    await compress(model, recipe(options), {
      methods: [magnitude, loraAdd],
      data: { next: () => nextTokenBatch([Int32Array.from(ids)]), state: () => null, restore: () => {} },
      train: async (job) => {
        const schedule = constant({ peak: 0.02, warmup: 0 });
        const optimizer = createOptimizer({ type: 'adamw', weightDecay: 0 });
        for await (const event of train({ ...job, optimizer, schedule, steps: 30 }))
          if (event.type === 'step') losses.push(event.loss);
        return {};
      },
    });
    return losses;
  };
  const zeros = async (model: CausalLM) =>
    (await (model.module('blocks.1.mlp.down') as Linear).weight.value.toFloat32()).filter((x) => x === 0)
      .length;

  it('heals a pruned model: the loss falls, zeros stay, and what was learned is in the weights', async () => {
    const model = createModel(shape, { seed: 1 });
    const losses = await run(model, { keepZeros: true });
    expect(losses.at(-1)).toBeLessThan(losses[0] - 0.3);
    expect(await zeros(model)).toBe((32 * 48) / 2);
    expect([...model.namedModules()].some(([path]) => path.endsWith('.base'))).toBe(false);
    const batch = nextTokenBatch([Int32Array.from(ids)]);
    const after = await read(() => languageModelLoss(model)(batch).sum.mul(1 / 23));
    expect(after[0]).toBeLessThan(losses.at(-1)! + 0.02);
    expect(modelTensors(model).map(({ name }) => name)).toContain('model.layers.1.mlp.down_proj.weight');
  });

  it('says that zeros would be lost', async () => {
    await expect(run(createModel(shape, { seed: 1 }), {})).rejects.toThrow(InvariantError);
  });

  it('folds adapters of experts into their stack', async () => {
    const experts = { num_experts: 3, num_experts_per_tok: 2, moe_intermediate_size: 24, head_dim: 16 };
    const model = createModel(
      { ...shape, ...experts, architectures: ['Qwen3MoeForCausalLM'], num_key_value_heads: 2 },
      { seed: 1 },
    );
    const set = attachAdapters(model, { targets: { include: ['blocks.*.mlp.**'] }, rank: 2 });
    for (const { up, down } of set.layers.values())
      up.value = noGrad(() =>
        down.value
          .transpose()
          .slice(0, 0, 1)
          .expand(...up.shape)
          .copy(),
      );
    const adapted = await logits(model);
    set.fold();
    expect(difference(await logits(model), adapted)).toBeLessThan(1e-5);
    expect(modelTensors(model).map(({ name }) => name)).toEqual(
      modelTensors(createModel(model.config, { seed: 1 })).map(({ name }) => name),
    );
  });
});

function logits(model: CausalLM): Promise<Float32Array> {
  return read(() => model.forward(stepBatch([ids], { vocabularySize: 128 })).logits());
}

/** Largest difference over the largest value. */
function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const scale = Math.max(...b.map(Math.abs));
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0) / scale;
}

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'frugal-adapter-methods-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}
