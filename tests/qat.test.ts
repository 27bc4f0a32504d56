import { compress, parseRecipe, type Recipe } from '@frugal/compress';
import { perplexityScore } from '@frugal/eval';
import { createModel } from '@frugal/models';
import { fakeQuantizerOf, quantizationAwareTraining, roundToNearest } from '@frugal/quant';
import { noGrad, PackedTensor, Random, scope } from '@frugal/tensor-core';
import { type CausalLM, Linear, nextTokenBatch, PackedLinear, Parameter } from '@frugal/tensor-core/nn';
import { cosine, createOptimizer, train } from '@frugal/trainer';
import { beforeEach, describe, expect, it } from 'vitest';
import { useNativeBackend } from './support/native.js';
import { walks } from './support/walks.js';

const isNative = useNativeBackend();
beforeEach((context) => {
  if (!isNative) context.skip('needs the native addon');
});

describe('fake quantizers', () => {
  it.each(['int2-g16', 'int3-g16-zero', 'int4-g32', 'int4-g32-zero-bf16', 'int8-g16', 'int8-channel'])(
    '%s gives the values that packing gives, and the gradient of the exact ones',
    async (format) => {
      const weight = new Parameter(noGrad(() => new Random(3).normal([24, 64])));
      const rounded = fakeQuantizerOf(format)?.(weight.value) ?? expect.fail();
      const values = await rounded.toFloat32();
      const packed = PackedTensor.pack(format, await weight.value.toFloat32(), [24, 64]);
      const expected = await packed.unpack().toFloat32();
      for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i], 5);
      rounded.mul(rounded.detach()).sum().backward();
      expect(await weight.gradient?.toFloat32()).toEqual(values);
    },
  );

  it('are there for integer formats alone', () => {
    expect(fakeQuantizerOf('q4_k')).toBeNull();
    expect(fakeQuantizerOf('int4-g32-order')).toBeNull();
  });
});

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 64,
  tie_word_embeddings: false,
};

function batches() {
  let step = 0;
  return {
    next: () => nextTokenBatch(walks(8, 50 + step++)),
    state: () => step,
    restore: (state: unknown) => {
      step = state as number;
    },
  };
}

const score = perplexityScore(walks(32, 3));
const targets = { include: ['blocks.**'] };
const stage = (type: string, format: string): Recipe =>
  parseRecipe({
    version: 1,
    seed: 0,
    stages: [{ name: type, modifiers: [{ type, targets, format, activation: 'none' }] }],
  });

/** Trains what the job asks for: the model as it is at that time. */
function trainer(steps: number, peak: number) {
  return async (job: Parameters<NonNullable<Parameters<typeof compress>[2]['train']>>[0]) => {
    const options = {
      ...job,
      optimizer: createOptimizer({ type: 'adamw' }),
      schedule: cosine({ peak, steps, warmup: 3 }),
      steps,
    };
    let loss = Number.NaN;
    for await (const event of train(options)) if (event.type === 'step') loss = event.loss;
    return { loss };
  };
}

describe('quant.qat', () => {
  it('trains with rounded weights, packs them, and is far better than rounding afterwards', async () => {
    const dense = createModel(config, { seed: 1 });
    const teach = { ...stage('quant.qat', 'int8-channel') };
    const methods = [quantizationAwareTraining, roundToNearest];
    const nothing = compress(dense, teach, { methods });
    await expect(nothing).rejects.toThrow(/needs a trainer; .*needs training data/);
    // A model that has learned, by the loss of the method itself, in 8 bits; both ways to 2 bits start from it.
    const start = async (): Promise<CausalLM> => {
      const model = createModel(config, { seed: 1 });
      const job = stage('quant.qat', 'int8-channel');
      await compress(model, job, { methods, data: batches(), train: trainer(120, 0.01) });
      for (const [path, module] of [...model.namedModules()])
        if (module instanceof PackedLinear) model.replace(path, linearOf(module));
      return model;
    };
    const [trained, rounded] = [await start(), await start()];
    const before = await score.evaluate(trained);
    expect(before).toBeLessThan(12);
    await compress(rounded, stage('quant.rtn', 'int2-g16'), { methods });
    const { report } = await compress(trained, stage('quant.qat', 'int2-g16'), {
      methods,
      data: batches(),
      train: trainer(60, 0.003),
    });
    const layer = trained.module('blocks.0.mlp.up');
    expect(layer).toBeInstanceOf(PackedLinear);
    expect((layer as PackedLinear).weight.format).toBe('int2-g16');
    expect(report.stages[0].training?.loss).toBeGreaterThan(0);
    const [without, withTraining] = [await score.evaluate(rounded), await score.evaluate(trained)];
    expect(withTraining - before).toBeLessThan(0.5 * (without - before));
  });

  it.each([
    ['q4_k', ['blocks.**'], /no fake quantizer/],
    ['int4-g24', ['blocks.**'], /32 columns, which is no multiple of 24/],
  ])('%s on %j is refused', async (format, include, message) => {
    const recipe = stage('quant.qat', format);
    recipe.stages[0].modifiers[0].targets = { include };
    const attempt = async () =>
      compress(createModel(config, { seed: 1 }), recipe, { methods: [quantizationAwareTraining] });
    await expect(attempt()).rejects.toThrow(message);
  });
});

function linearOf(layer: PackedLinear): Linear {
  return new Linear(scope(() => noGrad(() => layer.weight.unpack())));
}
