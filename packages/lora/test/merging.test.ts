import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors, toFloat32 } from '@frugal/checkpoint';
import { createModel } from '@frugal/models';
import { noGrad, PackedTensor, Random, scope, type Tensor, tensor } from '@frugal/tensor-core';
import {
  type CausalLM,
  isLinearLike,
  Linear,
  PackedEmbedding,
  PackedLinear,
  stepBatch,
} from '@frugal/tensor-core/nn';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type AdapterSet,
  type Adapters,
  attachAdapters,
  type CombinationMethod,
  combineAdapters,
  type LostTuningError,
  mergeModels,
  mergePacked,
  mergeTasks,
  slerp,
} from '../src/index.js';

const fixtures = fileURLToPath(new URL('../../../oracles/fixtures', import.meta.url));
const oracle: {
  weights: number[];
  scales: number[];
  cases: Record<string, { density?: number; svd_rank?: number; majority_sign_method?: 'frequency' }>;
} = JSON.parse(readFileSync(join(fixtures, 'merging.json'), 'utf8'));
const expected = await openSafetensors(join(fixtures, 'merging.safetensors'));
afterAll(() => expected.close());

async function stored(name: string): Promise<Tensor> {
  const { dtype, shape } = expected.entries.get(name)!;
  return tensor(toFloat32(await expected.read(name), dtype), { shape });
}
const read = (make: () => Tensor) => scope(() => noGrad(make)).toFloat32();
const product = ({ down, up, scale }: { down: Tensor; up: Tensor; scale: number }) =>
  read(() => up.matmul(down).mul(scale));

const layers = [...expected.entries.keys()]
  .filter((key) => key.startsWith('cat/'))
  .map((key) => key.slice('cat/'.length));
const adapters: Adapters[] = await Promise.all(
  oracle.scales.map(async (scale, i) => {
    const entries = layers.map(async (layer) => {
      const [down, up] = [await stored(`merge-${i}/${layer}.down`), await stored(`merge-${i}/${layer}.up`)];
      return [layer, { down, up, scale }] as const;
    });
    return new Map(await Promise.all(entries));
  }),
);

describe('combineAdapters', () => {
  it.each(Object.entries(oracle.cases))('does as add_weighted_adapter of PEFT: %s', async (name, options) => {
    const combined = await combineAdapters(adapters, {
      method: name.split('-')[0] as CombinationMethod,
      weights: oracle.weights,
      ...(options.density !== undefined && { density: options.density }),
      ...(options.majority_sign_method && { majoritySign: options.majority_sign_method }),
      ...(options.svd_rank !== undefined && { rank: options.svd_rank }),
    });
    expect([...combined.keys()]).toEqual(layers);
    for (const [layer, adapter] of combined) {
      const wanted = await (await stored(`${name}/${layer}`)).toFloat32();
      expect(difference(await product(adapter), wanted), layer).toBeLessThan(3e-6);
    }
  });

  it('takes layers from those adapters that have them', async () => {
    const some = new Map([...adapters[1]].slice(1));
    const combined = await combineAdapters([adapters[0], some], { method: 'cat', weights: [0.5, 2] });
    const first = combined.get(layers[0])!;
    const wanted = await read(() => {
      const { down, up, scale } = adapters[0].get(layers[0])!;
      return up.matmul(down).mul(0.5 * scale);
    });
    expect(difference(await product(first), wanted)).toBeLessThan(1e-6);
    expect(combined.get(layers[1])!.down.shape[0]).toBe(8);
  });

  it('names all layers that do not fit', async () => {
    const other = new Map(
      [...adapters[0]].map(([layer, { down, up }]) => [
        layer,
        { down: down.slice(0, 0, 2).copy(), up: up.slice(1, 0, 2).copy(), scale: 1 },
      ]),
    );
    const combine = (method: CombinationMethod) =>
      combineAdapters([adapters[0], other], { method, weights: [1, 1] });
    await expect(combine('ties')).rejects.toThrow(/2 problems.*q_proj has different ranks: 4 and 2/);
    expect((await combine('svd')).size).toBe(2);
  });
});

describe('mergeTasks', () => {
  const random = new Random(3);
  it('DARE keeps about the share it should, enlarged, the same for a seed', async () => {
    const task = await random.normal([20_000]).toFloat32();
    const run = (seed: number) => mergeTasks('dare_linear', [task], { weights: [1], density: 0.3, seed });
    const kept = await run(1);
    const share = kept.filter((value) => value !== 0).length / task.length;
    expect(Math.abs(share - 0.3)).toBeLessThan(0.02);
    for (const [i, value] of kept.entries()) if (value !== 0) expect(value).toBeCloseTo(task[i] / 0.3, 4);
    expect(await run(1)).toEqual(kept);
    expect(await run(2)).not.toEqual(kept);
  });

  it('refuses sizes, weights and densities that do not fit', async () => {
    const two = [new Float32Array(2), new Float32Array(3)];
    await expect(mergeTasks('linear', two, { weights: [1, 1] })).rejects.toThrow(/differ in size: got 2, 3/);
    await expect(mergeTasks('linear', [two[0]], { weights: [] })).rejects.toThrow(/weights/);
    await expect(mergeTasks('ties', [two[0]], { weights: [1], density: 2 })).rejects.toThrow(/density/);
  });
});

describe('slerp', () => {
  it('walks the arc at constant speed, and keeps the length', () => {
    const [a, b] = [Float32Array.of(2, 0), Float32Array.of(0, 2)];
    for (const t of [0, 0.25, 0.5, 1]) {
      const [x, y] = slerp(a, b, t);
      expect(Math.atan2(y, x)).toBeCloseTo((t * Math.PI) / 2, 6);
      expect(Math.hypot(x, y)).toBeCloseTo(2, 6);
    }
    expect([...slerp(a, Float32Array.of(4, 0), 0.5)]).toEqual([3, 0]);
    expect([...slerp(a, Float32Array.of(0, 0), 0.5)]).toEqual([1, 0]);
  });
});

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 60,
};
const ids = Array.from({ length: 70 }, (_, i) => (i * 7 + 3) % 60);
const logits = (model: CausalLM) =>
  read(() => model.forward(stepBatch([ids], { vocabularySize: 60 })).logits());

describe('mergeModels', () => {
  const models = () => [1, 2, 3].map((seed) => createModel(config, { seed }));

  it.each(['linear', 'slerp', 'ties', 'dare_ties'] as const)(
    '%s works on every parameter',
    async (method) => {
      const [a, b, base] = models();
      const before = await (a.module('blocks.1.mlp.down') as Linear).weight.value.toFloat32();
      const [first, second, origin] = await Promise.all(
        [a, b, base].map((model) => (model.module('blocks.1.mlp.down') as Linear).weight.value.toFloat32()),
      );
      await mergeModels([a, b], { method, weights: [3, 1], base, density: 0.5, seed: 4 });
      const after = await (a.module('blocks.1.mlp.down') as Linear).weight.value.toFloat32();
      expect(after).not.toEqual(before);
      const change = (values: Float32Array) => values.map((value, i) => value - origin[i]);
      const tasks = [change(first), change(second)];
      const options = { weights: [3, 1], density: 0.5, seed: 4 };
      const wanted =
        method === 'slerp'
          ? slerp(first, second, 0.25)
          : (await mergeTasks(method, tasks, options)).map((value, i) => value + origin[i]);
      expect(difference(after, wanted)).toBeLessThan(1e-6);
    },
  );

  it('averages without a base', async () => {
    const [a, b] = models();
    const [x, y] = await Promise.all([a, b].map((model) => model.parameters()[2].value.toFloat32()));
    await mergeModels([a, b], { method: 'linear', weights: [1, 3] });
    const wanted = x.map((value, i) => value / 4 + (3 * y[i]) / 4);
    expect(difference(await a.parameters()[2].value.toFloat32(), wanted)).toBeLessThan(1e-6);
  });

  it('lists everything that differs, and what is missing', async () => {
    const [a] = models();
    const other = createModel({ ...config, num_hidden_layers: 1, intermediate_size: 64 }, { seed: 1 });
    const run = mergeModels([a, other], { method: 'ties', weights: [1, 1] });
    await expect(run).rejects.toThrow(/mlp\.gate\.weight is 96 × 64 in model 1 and 64 × 64 in model 2/);
    await expect(run).rejects.toThrow(/ties needs the base/);
  });

  it.each([
    ['slerp', [1, -1], /add up to 0 cannot be shares/],
    ['slerp', [1], /weights 1 are not a number for each of 2 models/],
    ['linear', [1, Number.NaN], /weights 1, NaN are not/],
  ] as const)(
    'refuses to make a model without numbers: %s with weights %j',
    async (method, weights, message) => {
      const [a, b, base] = models();
      const before = await a.parameters()[2].value.toFloat32();
      await expect(mergeModels([a, b], { method, weights, base })).rejects.toThrow(message);
      expect(await a.parameters()[2].value.toFloat32()).toEqual(before);
    },
  );
});

describe('mergePacked', () => {
  /** A model with packed blocks and an adapter of this strength. */
  async function tuned(format: string, strength: number): Promise<{ model: CausalLM; set: AdapterSet }> {
    const model = createModel(config, { seed: 1 });
    for (const [path, layer] of [...model.namedModules()]) {
      if (!isLinearLike(layer) || !path.startsWith('blocks.')) continue;
      const [F, C] = [layer.outFeatures, layer.inFeatures];
      const values = await read(() => layer.effectiveWeight());
      model.replace(path, new PackedLinear(PackedTensor.pack(format, values, [F, C])));
    }
    const random = new Random(8);
    const set = attachAdapters(model, { targets: { include: ['blocks.**', 'head'] }, rank: 2 });
    for (const { up } of set.layers.values())
      up.value = noGrad(() => scope(() => random.normal([...up.shape]).mul(strength)));
    return { model, set };
  }
  const sequences = [ids, ids.slice(20, 50)];

  it('rounds the merged weights again, and keeps the effect where bits suffice', async () => {
    const { model, set } = await tuned('q8_0', 0.3);
    const adapted = await logits(model);
    const { kept, effect, tokens } = await mergePacked(model, set, { sequences });
    expect(kept).toBeGreaterThan(0.99);
    expect(effect).toBeGreaterThan(0.01);
    expect(tokens).toBe(100);
    expect(difference(await logits(model), adapted)).toBeLessThan(0.05);
    const down = model.module('blocks.0.mlp.down') as PackedLinear;
    expect([down.weight.format, model.module('head') instanceof Linear]).toEqual(['q8_0', true]);
    expect([...model.namedModules()].some(([path]) => path.endsWith('.base'))).toBe(false);
  });

  it.each(['dense', 'packed'])(
    'gives a tied %s head a matrix of its own: the embedding stays',
    async (kind) => {
      const model = createModel({ ...config, tie_word_embeddings: true }, { seed: 1 });
      if (kind === 'packed') {
        const head = model.module('head') as Linear;
        const shape = [head.outFeatures, head.inFeatures] as const;
        const packed = PackedTensor.pack('q8_0', await read(() => head.effectiveWeight()), shape);
        model.replace('head', new PackedLinear(packed, { activation: null }));
        model.replace('embed', new PackedEmbedding(packed));
      }
      const set = attachAdapters(model, { targets: { include: ['head'] }, rank: 2 });
      for (const { up } of set.layers.values())
        up.value = noGrad(() => scope(() => new Random(8).normal([...up.shape]).mul(0.3)));
      const adapted = await logits(model);
      await mergePacked(model, set, { sequences });
      expect(difference(await logits(model), adapted)).toBeLessThan(kind === 'dense' ? 1e-5 : 0.05);
    },
  );

  it('refuses when the tuning is lost, and leaves the model as it was', async () => {
    const { model, set } = await tuned('q4_0', 0.004);
    const adapted = await logits(model);
    const error = await mergePacked(model, set, { sequences }).catch((reason: LostTuningError) => reason);
    expect(String(error)).toMatch(/loses the tuning: got -?[\d.]+ % of the effect kept/);
    expect((error as LostTuningError).measurement.kept).toBeLessThan(0.8);
    expect(await logits(model)).toEqual(adapted);
    const better = await mergePacked(model, set, { sequences, format: 'q8_0', minimum: -1e9 });
    expect(better.kept).toBeGreaterThan((error as LostTuningError).measurement.kept);
    const forced = await tuned('q4_0', 0.004);
    expect(
      (await mergePacked(forced.model, forced.set, { sequences, minimum: Number.NEGATIVE_INFINITY })).kept,
    ).toBeLessThan(0.8);
  });
});

function difference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  const scale = Math.max(...b.map(Math.abs));
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0) / scale;
}
