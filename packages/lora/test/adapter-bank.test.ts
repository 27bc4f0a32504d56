import { CpuBackendUnavailableError, cpuBackend } from '@frugal/backend-cpu';
import { createModel } from '@frugal/models';
import {
  type Backend,
  currentBackend,
  noGrad,
  PackedTensor,
  Random,
  referenceBackend,
  scope,
  setBackend,
  tensor,
} from '@frugal/tensor-core';
import { type CausalLM, type Linear, PackedLinear, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { BankedLinear } from '../src/banked-linear.js';
import {
  AdapterBank,
  type AdapterOptions,
  attachAdapters,
  type LowRank,
  placeAdapters,
} from '../src/index.js';

const config = {
  architectures: ['Qwen2ForCausalLM'],
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 50,
};
const sequences = [
  [3, 8, 12, 40],
  [7, 7, 1],
  [22, 30, 2, 9, 11],
  [3, 8, 12, 40],
];

function native(): Backend | null {
  try {
    return cpuBackend();
  } catch (error) {
    if (error instanceof CpuBackendUnavailableError) return null;
    throw error;
  }
}

/** An adapter with a will of its own, as it would come from a file. */
function adapter(model: CausalLM, seed: number, options: Partial<AdapterOptions>): Map<string, LowRank> {
  const targets = { include: ['blocks.**', 'head'] };
  const set = attachAdapters(model, { targets, rank: 4, seed, ...options });
  const random = new Random(seed);
  const copies = new Map<string, LowRank>();
  for (const [path, { down, up, scale, magnitude }] of set.layers) {
    const parts = noGrad(() => ({
      down: down.value.copy(),
      up: scope(() => random.normal([...up.shape]).mul(0.3)),
      magnitude: magnitude ? scope(() => magnitude.value.mul(1.2)) : null,
    }));
    copies.set(path, { ...parts, scale });
  }
  set.detach();
  return copies;
}

const run = (model: CausalLM, inputs: readonly number[][], adapters?: readonly number[], last = false) =>
  scope(() =>
    noGrad(() =>
      model
        .forward(
          stepBatch(inputs, {
            vocabularySize: 50,
            logits: last ? 'last' : 'all',
            ...(adapters && { adapters }),
          }),
        )
        .logits(),
    ),
  ).toFloat32();

for (const [name, backend] of [['reference', referenceBackend()] as const, ['cpu', native()] as const])
  describe(`AdapterBank on the ${name} backend`, () => {
    const on = async (work: () => Promise<void>) => {
      const before = currentBackend();
      setBackend(backend as Backend);
      await work().finally(() => setBackend(before));
    };

    it('gives each row what its adapter gives alone, bit for bit', async (context) => {
      if (!backend) return context.skip('needs the native addon');
      await on(async () => {
        const model = createModel(config, { seed: 1 });
        const before = await run(model, sequences);
        const options = [{ rank: 4 }, { rank: 7, rankStabilized: true }, { rank: 2, magnitudes: true }];
        const make = (i: number) => adapter(model, i + 1, options[i]);
        const alone: Float32Array[] = [];
        const attached: Float32Array[] = [];
        for (const i of [0, 1, 2]) {
          const bank = new AdapterBank(model);
          bank.add('alone', make(i));
          alone.push(await run(model, [sequences[i]], [0]));
          expect(await run(model, sequences, [-1, -1, -1, -1]), 'no adapter').toEqual(before);
          expect(await run(model, sequences), 'no rows').toEqual(before);
          bank.detach();
          attached.push(await attachedLogits(model, make(i), sequences[i]));
        }
        const bank = new AdapterBank(model);
        for (const i of [0, 1, 2]) expect(bank.add(`adapter ${i}`, make(i))).toBe(i);
        const together = await run(model, sequences, [0, 1, 2, -1]);
        const starts = [0, 4, 7, 12, 16].map((row) => row * 50);
        const part = (s: number) => together.subarray(starts[s], starts[s + 1]);
        for (const i of [0, 1, 2]) {
          expect(part(i)).toEqual(alone[i]);
          // The layer for one adapter adds in another order.
          const scale = Math.max(...attached[i].map(Math.abs));
          for (const [j, value] of attached[i].entries())
            expect(Math.abs(value - alone[i][j])).toBeLessThan(2e-5 * scale);
        }
        expect(part(3)).toEqual(before.subarray(starts[3]));
        const ends = await run(model, sequences, [0, 1, 2, -1], true);
        expect(ends.subarray(50, 100)).toEqual(together.subarray(starts[2] - 50, starts[2]));

        const once = [...model.namedModules()].reduce(
          (sum, [, module]) => sum + (module instanceof BankedLinear ? module.adapterBytes : 0),
          0,
        );
        expect(bank.bytes).toBe(once);

        bank.remove('adapter 1');
        expect(bank.names).toEqual(['adapter 0', 'adapter 2']);
        const without = await run(model, [sequences[0], sequences[2]], [0, 2]);
        expect(without.subarray(0, 200)).toEqual(alone[0]);
        expect(without.subarray(200)).toEqual(alone[2]);
        expect(bank.add('again', make(1))).toBe(1);
        expect(await run(model, [sequences[1]], [1])).toEqual(alone[1]);
        bank.detach();
        expect(await run(model, sequences)).toEqual(before);
      });
    });
  });

async function attachedLogits(
  model: CausalLM,
  adapters: Map<string, LowRank>,
  ids: number[],
): Promise<Float32Array> {
  const set = placeAdapters(model, adapters, false);
  const logits = await run(model, [ids]);
  set.detach();
  return logits;
}

it('adapters of other layers leave a layer alone, also where it scales its rows', async () => {
  const model = createModel(config, { seed: 1 });
  const before = await run(model, sequences);
  const make = (seed: number, layer: string, magnitudes: boolean) =>
    adapter(model, seed, { targets: { include: [`blocks.*.attention.${layer}`] }, magnitudes });
  const bank = new AdapterBank(model);
  bank.add('scaled', make(1, 'query', true));
  const scaled = await run(model, sequences, [0, 0, 0, 0]);
  bank.add('plain', make(2, 'value', false));
  const mixed = await run(model, sequences, [0, 1, -1, 0]);
  const row = (values: Float32Array, from: number, to: number) => values.subarray(50 * from, 50 * to);
  expect(row(mixed, 0, 4)).toEqual(row(scaled, 0, 4));
  expect(row(mixed, 12, 16)).toEqual(row(scaled, 12, 16));
  expect(row(mixed, 7, 12)).toEqual(row(before, 7, 12));
  expect(row(mixed, 4, 7)).not.toEqual(row(before, 4, 7));
  bank.remove('scaled');
  const left = await run(model, sequences, [1, 1, 1, 1]);
  expect(row(left, 4, 7)).toEqual(row(mixed, 4, 7));
  bank.detach();
});

it('refuses names that are taken or unknown, and layers that it cannot serve', () => {
  const model = createModel(
    {
      ...config,
      architectures: ['Qwen3MoeForCausalLM'],
      head_dim: 16,
      num_experts: 3,
      num_experts_per_tok: 2,
      moe_intermediate_size: 24,
    },
    { seed: 1 },
  );
  const bank = new AdapterBank(model);
  expect(() => bank.add('experts', adapter(model, 1, {}))).toThrow(
    /blocks\.0\.mlp\.experts\.gate\.sites\.0 multiplies other rows/,
  );
  const attention = adapter(model, 1, { targets: { include: ['blocks.*.attention.*'] } });
  const query = attention.get('blocks.0.attention.query') as LowRank;
  const foreign = new Map([['blocks.0.attention.key', query]]);
  expect(() => bank.add('foreign', foreign)).toThrow(/blocks\.0\.attention\.key is/);
  expect([...model.namedModules()].some(([path]) => path.endsWith('.base'))).toBe(false);
  bank.add('a', attention);
  expect(() => bank.add('a', attention)).toThrow(/name is taken/);
  expect(() => bank.indexOf('b')).toThrow(/got b; expected a/);
});

it('keeps adapters in bf16 over packed weights, and gives what those bf16 numbers give', async () => {
  const model = createModel(config, { seed: 1 });
  const path = 'blocks.0.attention.query';
  const dense = model.module(path) as Linear;
  const weight = PackedTensor.pack('q8_0', await dense.weight.value.toFloat32(), [32, 32]);
  model.replace(path, new PackedLinear(weight));
  const options = { targets: { include: [path] } };
  const adapters = [1, 2].map((seed) => adapter(model, seed, options).get(path) as LowRank);
  const factors = adapters.map(({ down, up, scale }) =>
    [down, up.mul(scale)].map((factor) => factor.cast('bf16')),
  );
  const [first, second] = await Promise.all(
    factors.map((pair) => Promise.all(pair.map((f) => f.toFloat32()))),
  );
  const x = new Random(5).normal([3, 32]);
  const base = await (model.module(path) as PackedLinear).forward(x).toFloat32();

  const bank = new AdapterBank(model);
  adapters.forEach((each, i) => void bank.add(`${i}`, new Map([[path, each]])));
  const layer = model.module(path) as BankedLinear;
  expect(layer.adapterBytes).toBe(2 * 2 * (4 * 32 + 32 * 4));
  const values = await x.toFloat32();
  const adapterOfRow = tensor(Int32Array.of(1, -1, 0), { shape: [3] });
  const found = await layer.forward(x, { adapterOfRow }).toFloat32();
  for (const [row, chosen] of [second, null, first].entries()) {
    for (let f = 0; f < 32; f++) {
      let sum = base[row * 32 + f];
      for (let r = 0; chosen && r < 4; r++) {
        let narrow = 0;
        for (let c = 0; c < 32; c++) narrow += values[row * 32 + c] * chosen[0][r * 32 + c];
        sum += narrow * chosen[1][f * 4 + r];
      }
      expect(Math.abs(found[row * 32 + f] - sum)).toBeLessThan(1e-5);
    }
  }
});
