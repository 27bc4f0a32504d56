import { compress, parseRecipe } from '@frugal/compress';
import { loadModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { finishOnce, type Laboratory, type Trained } from './pretrain.js';

/** Weights int8 per output channel, activations int8 per token; embedding and head are one matrix and stay so. */
const recipe = parseRecipe({
  version: 1,
  seed: 0,
  stages: [
    {
      name: 'int8',
      modifiers: [
        { type: 'quant.rtn', targets: { include: ['**'] }, format: 'int8-channel', activation: 'int8' },
      ],
    },
  ],
});

/** An int8 copy of a finished model. */
export function quantize(
  laboratory: Laboratory,
  name: string,
  source: { name: string } & Trained,
): Promise<Trained> {
  return finishOnce(laboratory, name, async () => {
    const start = performance.now();
    const model = await loadModel(laboratory.run.file(source.name));
    const { manifest } = await compress(model, recipe, { methods: [roundToNearest] });
    return { model, manifest, record: { tokens: 0, seconds: (performance.now() - start) / 1000 } };
  });
}
