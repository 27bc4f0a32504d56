import { createModel, unpackModel } from '@frugal/models';
import { memoryUsage, PackedTensor, resetPeakMemory } from '@frugal/tensor-core';
import { Linear, PackedLinear } from '@frugal/tensor-core/nn';
import { expect, it } from 'vitest';

it('unpacks one matrix after the other: at no time all packed and all dense ones are there', async () => {
  const model = createModel(
    {
      architectures: ['LlamaForCausalLM'],
      hidden_size: 64,
      intermediate_size: 128,
      num_hidden_layers: 8,
      num_attention_heads: 2,
      vocab_size: 32,
    },
    { seed: 1 },
  );
  let packedBytes = 0;
  for (const [path, module] of [...model.namedModules()]) {
    if (!(module instanceof Linear) || !path.startsWith('blocks.')) continue;
    const shape = [module.outFeatures, module.inFeatures] as const;
    const packed = PackedTensor.pack('q8_0', await module.weight.value.toFloat32(), shape);
    packedBytes += packed.byteLength;
    model.replace(path, new PackedLinear(packed));
    module.dispose();
  }
  resetPeakMemory();
  unpackModel(model);
  const { bytes, peakBytes } = memoryUsage();
  expect(model.module('blocks.7.mlp.down')).toBeInstanceOf(Linear);
  expect(peakBytes - bytes).toBeLessThan(packedBytes / 4);
});
