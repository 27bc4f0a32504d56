import { compress, type ModifierSpec, parseRecipe } from '@frugal/compress';
import { awq, roundToNearest, smoothQuant } from '@frugal/quant';
import { describe, expect, it } from 'vitest';
import { distance, logits, sequences, withLoudNeuron } from './support/loud-neuron.js';

async function after(...modifiers: ModifierSpec[]): Promise<Float32Array> {
  const stages = modifiers.map((spec, i) => ({ name: `stage-${i}`, modifiers: [spec] }));
  const { model } = await compress(withLoudNeuron(), parseRecipe({ version: 1, seed: 0, stages }), {
    methods: [smoothQuant, awq, roundToNearest],
    calibration: sequences,
  });
  return logits(model);
}

const mlps = { include: ['blocks.*.mlp'] };
const w8a8: ModifierSpec = {
  type: 'quant.rtn',
  targets: { include: ['blocks.**'] },
  format: 'int8-channel',
  activation: 'int8',
};

describe('scales that move through a gated MLP', () => {
  it.each([
    { type: 'quant.smooth', targets: mlps },
    { type: 'quant.awq', targets: mlps, groupSize: 32 },
  ])('$type changes nothing by itself', async (spec) => {
    expect(distance(await after(spec), await logits(withLoudNeuron()))).toBeLessThan(1e-5);
  });

  it('keep a loud neuron from drowning the others when activations are rounded', async () => {
    const dense = await logits(withLoudNeuron());
    const plain = distance(await after(w8a8), dense);
    const smooth = distance(await after({ type: 'quant.smooth', targets: mlps }, w8a8), dense);
    expect(smooth).toBeLessThan(plain / 2);
  });

  it('refuse layers that are packed already', async () => {
    await expect(after(w8a8, { type: 'quant.smooth', targets: mlps })).rejects.toThrow(
      /move scales before quantising/,
    );
  });
});
