import { defineMethod, readWeight } from '@frugal/compress';
import { z } from 'zod';
import { awqScales } from '../maths/awq.js';
import { scaleMovingMethod } from './move-scales.js';

/**
 * Scales the columns that meet large activations before rounding (AWQ, Lin et al. 2023, arXiv:2306.00978). Changes no
 * output by itself: a stage that rounds follows. Targets are norms and gated MLPs; the layers that read them follow.
 */
export const awq = defineMethod(
  'quant.awq',
  {
    /** The grid that the following stage rounds to. */
    bits: z.number().int().min(2).max(8).default(4),
    groupSize: z.number().int().positive().default(128),
    zeroPoint: z.boolean().default(false),
    steps: z.number().int().min(1).default(20),
  },
  ({ steps, ...grid }) =>
    scaleMovingMethod(
      'quant.awq',
      ['gram', 'absSum', 'count'],
      async ({ consumers, consumerPaths }, stats) => {
        const { gram, absSum, count } = stats as Required<typeof stats>;
        const absMean = (await absSum.toFloat32()).map((sum) => sum / count);
        const weights = await Promise.all(
          consumers.map(async (layer, i) => ({
            weight: await readWeight(layer, consumerPaths[i]),
            shape: [layer.outFeatures, layer.inFeatures] as const,
          })),
        );
        const { scales, exponent, error, errorBefore } = await awqScales(weights, {
          grid,
          gram,
          absMean,
          steps,
        });
        return { scales, measured: { exponent, errorShare: errorBefore > 0 ? error / errorBefore : 1 } };
      },
    ),
);
