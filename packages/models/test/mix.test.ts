import { noGrad, Random, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';
import { createModel, extendMixture, fitGates, mixModels } from '../src/index.js';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 48,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 48,
  max_position_embeddings: 64,
};
const base = () => createModel(config, { seed: 1 });

/** The base with other feed-forward layers. */
function specialist(seed: number): CausalLM {
  const model = base();
  for (const [path, parameter] of model.namedParameters())
    if (/\.mlp\./.test(path))
      parameter.value = noGrad(() =>
        scope(() => new Random(seed).fork(path.length).normal(parameter.shape).mul(0.3)),
      );
  return model;
}

/** Text of domain d has tokens of its own: 12 d … 12 d + 11. */
const textOf = (domain: number, seed: number, count = 4) =>
  Array.from({ length: count }, (_, s) =>
    Int32Array.from(
      { length: 20 },
      (_, i) => 12 * domain + ((Math.imul(i + 32 * s + 4096 * seed, 2654435761) >>> 10) % 12),
    ),
  );

async function logits(model: CausalLM, sequences: Int32Array[]): Promise<Float32Array> {
  const read = noGrad(() =>
    scope(() => model.forward(stepBatch(sequences, { vocabularySize: 48 })).logits()),
  );
  return read.toFloat32();
}

/** Root mean square difference over the root mean square. */
function distance(a: Float32Array, b: Float32Array): number {
  const [difference, scale] = [
    a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0),
    b.reduce((sum, x) => sum + x * x, 0),
  ];
  return Math.sqrt(difference / scale);
}

const gateTexts = (models: CausalLM[], from = 0) =>
  models.map((model, i) => ({ expert: from + i, model, sequences: textOf(from + i, 1, 40) }));

const routerOf = (model: CausalLM, layer: number) =>
  (model.module(`blocks.${layer}.mlp.router`).parameters()[0].value as Tensor).toFloat32();

describe('mixModels', () => {
  it.each([1, 2])(
    'computes what each specialist does on its own texts, %i experts per token',
    async (chosen) => {
      const models = [11, 22, 33].map(specialist);
      const mixture = await mixModels(
        base(),
        models.map((model, i) => ({ name: `s${i}`, model })),
        chosen,
      );
      expect(mixture.config).toMatchObject({
        model_type: 'mixtral',
        num_local_experts: 3,
        num_experts_per_tok: chosen,
      });
      fitGates(mixture, gateTexts(models));
      for (const [domain, model] of models.entries()) {
        const text = textOf(domain, 2); // not the ones of the gate
        const mixed = await logits(mixture, text);
        const own = await logits(model, text);
        const others = await Promise.all(
          models.filter((each) => each !== model).map((each) => logits(each, text)),
        );
        expect(distance(mixed, own)).toBeLessThan(0.2);
        for (const other of others)
          expect(distance(mixed, other)).toBeGreaterThan(3 * distance(mixed, own) + 0.1);
      }
    },
  );

  it('is extended by a domain and leaves the old router rows alone', async () => {
    const models = [11, 22].map(specialist);
    const mixture = await mixModels(
      base(),
      models.map((model, i) => ({ name: `s${i}`, model })),
    );
    fitGates(mixture, gateTexts(models));
    const added = specialist(33);
    const extended = await extendMixture(mixture, { name: 's2', model: added });
    fitGates(
      extended,
      [...gateTexts([mixture, mixture]), { expert: 2, model: added, sequences: textOf(2, 1, 40) }],
      2,
    );
    for (const layer of [0, 1]) {
      const [before, after] = [await routerOf(mixture, layer), await routerOf(extended, layer)];
      expect(after.slice(0, before.length)).toEqual(before);
    }
    for (const domain of [0, 1])
      expect(
        distance(await logits(extended, textOf(domain, 2)), await logits(mixture, textOf(domain, 2))),
      ).toBeLessThan(0.35);
    expect(distance(await logits(extended, textOf(2, 2)), await logits(added, textOf(2, 2)))).toBeLessThan(
      0.35,
    );
  });

  it('refuses what differs elsewhere too, and models of other sizes', async () => {
    const other = createModel(config, { seed: 2 });
    await expect(mixModels(base(), [{ name: 'other', model: other }])).rejects.toThrow(
      /\[other\] a specialist may differ.*feed-forward.*other parameters differ: embed\.weight.*ModelRouter/,
    );
    const small = createModel({ ...config, vocab_size: 40 }, { seed: 1 });
    await expect(mixModels(base(), [{ name: 'small', model: small }])).rejects.toThrow(
      /no specialist.*40 tokens/,
    );
  });
});
