import { defineMethod, linearSites, type Site } from '@frugal/compress';
import { ArgumentError } from '@frugal/tensor-core';
import { parseIntegerGroups, recommendedActivation } from '@frugal/tensor-core/formats';
import { type CausalLM, Linear, nextTokenLoss } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { FakeQuantizedLinear } from '../fake-quantized-linear.js';
import { fakeQuantizerOf } from '../maths/fake-quantize.js';
import { planPacking } from './packing.js';
import { roundingOptions, roundLayer, staysPacked } from './rounding.js';

/**
 * Quantisation-aware training (Jacob et al. 2017, arXiv:1712.05877): the stage trains with weights and activations rounded as
 * they will be, gradients going straight through, and packs the weights at its end. Its own loss is that of the next token;
 * beside a method of distillation in the same stage it can do without.
 */
export const quantizationAwareTraining = defineMethod(
  'quant.qat',
  {
    /** Integer groups such as `int4-g32`, or `int8-channel`. */
    format: z.string(),
    activation: roundingOptions.activation,
    /** `none`: another method of the stage brings one. */
    loss: z.enum(['next-token', 'none']).default('next-token'),
  },
  ({ format, activation, loss }) => {
    const quantizer = fakeQuantizerOf(format);
    if (!quantizer) {
      throw new ArgumentError({
        where: 'quant.qat',
        what: 'no fake quantizer for this format',
        got: format,
        expected: 'int8-channel, int4-g32, int3-g64-zero, … without an order of columns',
      });
    }
    const rounding = { format, activation };
    const group = parseIntegerGroups(format)?.group ?? 1;
    return {
      sites: ['linear'],
      needs: { training: true },
      plan(sites) {
        const problems: string[] = [];
        const planned = linearSites(sites).map((site) => {
          const { path, layer, sharedWith } = site;
          if (!(layer instanceof Linear)) problems.push(`${path} is not dense`);
          if (sharedWith.length > 0)
            problems.push(`${path} shares its weight with ${sharedWith.join(', ')}: exclude it`);
          if (layer.inFeatures % group !== 0)
            problems.push(`${path} has ${layer.inFeatures} columns, which is no multiple of ${group}`);
          return planPacking(site, format, activation, problems);
        });
        return { sites: planned, problems };
      },
      train: ({ student, sites }) => ({
        parametrize: () =>
          inPlace(
            student,
            sites,
            (layer) => new FakeQuantizedLinear(layer, quantizer, activation ?? recommendedActivation(format)),
          ),
        ...(loss === 'next-token' && {
          loss: ({ targets, weights, student: output }) =>
            nextTokenLoss(output.hidden, student.head, targets, weights),
        }),
      }),
      finish: async (site) => (site.kind === 'linear' ? roundLayer('quant.qat', site, rounding) : []),
      invariant: (site) => staysPacked(site, rounding),
    };
  },
);

/** Other layers in the places of dense ones, until it is disposed. */
function inPlace(model: CausalLM, sites: readonly Site[], wrap: (layer: Linear) => Linear): Disposable {
  const undo: (() => void)[] = [];
  for (const { path, layer } of linearSites(sites)) {
    if (!(layer instanceof Linear)) continue;
    model.replace(path, wrap(layer));
    undo.push(() => void model.replace(path, layer));
  }
  return {
    [Symbol.dispose]() {
      for (const back of undo.splice(0)) back();
    },
  };
}
