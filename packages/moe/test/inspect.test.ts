import { noGrad, Random, tensor, zeros } from '@frugal/tensor-core';
import {
  type CausalLM,
  Embedding,
  Linear,
  Module,
  type Output,
  type StepBatch,
} from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { Experts, inspectRouting, MixtureOfExperts, Router, StackedLinear } from '../src/index.js';

const [C, F, E, V] = [4, 3, 4, 8];

/** One layer of experts over an embedding whose rows say where a token goes: token t to expert t mod E. */
class OneLayer extends Module {
  readonly vocabularySize = V;
  readonly embed = new Embedding(
    tensor(
      Float32Array.from({ length: V * C }, (_, i) => (Math.floor(i / C) % E === i % C ? 1 : 0)),
      { shape: [V, C] },
    ),
  );
  readonly blocks: MixtureOfExperts[];

  constructor(sharpness: number) {
    super();
    const stack = (rows: number, columns: number) =>
      new StackedLinear(new Random(3).normal([E, rows, columns]));
    const weight = Float32Array.from({ length: E * C }, (_, i) => (i % (C + 1) === 0 ? sharpness : 0));
    this.blocks = [
      new MixtureOfExperts(
        new Router(tensor(weight, { shape: [E, C] }), { chosen: 1, gate: 'softmax', normalize: true }),
        new Experts(stack(F, C), stack(F, C), stack(C, F)),
        null,
        { path: 'blocks.0' },
      ),
    ];
  }

  forward(batch: StepBatch): Output {
    const context = { batch, shared: new Map(), collected: new Map(), losses: new Map(), checks: new Map() };
    const hidden = this.blocks[0].forward(this.embed.forward(batch.tokens, 'f32'), context);
    return { ...context, hidden, logits: () => hidden };
  }
}

const model = (sharpness = 50) => new OneLayer(sharpness) as unknown as CausalLM;

describe('inspectRouting', () => {
  it('tells domains that share no expert from those that share all', async () => {
    const [apart] = await inspectRouting(model(), [
      {
        name: 'even',
        sequences: [
          [0, 2, 4, 6],
          [2, 0],
        ],
      },
      { name: 'odd', sequences: [[1, 3, 5, 7]] },
    ]);
    expect(apart).toMatchObject({
      path: 'blocks.0',
      experts: 4,
      chosen: 1,
      specialization: 1,
      loadEntropy: 1,
    });
    expect(apart.domains).toEqual([
      { name: 'even', tokens: 6, load: [0.5, 0, 0.5, 0] },
      { name: 'odd', tokens: 4, load: [0, 0.5, 0, 0.5] },
    ]);
    expect(apart.gateEntropy).toBeLessThan(1e-6);
    const [same] = await inspectRouting(model(), [
      { name: 'a', sequences: [[0, 1]] },
      { name: 'b', sequences: [[1, 0, 4, 5]] },
    ]);
    expect(same.specialization).toBeCloseTo(0, 10);
    expect(same.loadEntropy).toBeCloseTo(0.5, 10);
  });

  it('sees routers that cannot decide, and one domain alone', async () => {
    const [layer] = await inspectRouting(model(0), [{ name: 'all', sequences: [[0, 1, 2, 3]] }]);
    expect(layer.gateEntropy).toBeCloseTo(1, 5);
    expect(layer).toMatchObject({ specialization: 0, load: [1, 0, 0, 0] }); // ties: the smaller index
  });

  it('refuses a dense model', async () => {
    const dense = new Linear(noGrad(() => zeros([2, 2]))) as unknown as CausalLM;
    await expect(inspectRouting(dense, [])).rejects.toThrow(/all of its layers are dense/);
  });
});
