import { defineMethod, readWeight } from '@frugal/compress';
import { z } from 'zod';
import { columnMaxima, smoothScales } from '../maths/smooth.js';
import { scaleMovingMethod } from './move-scales.js';

/**
 * Moves outliers from activations to weights before both are quantised (SmoothQuant, Xiao et al. 2022,
 * arXiv:2211.10438). Changes no output by itself. Targets are norms and gated MLPs; the layers that read them follow.
 */
export const smoothQuant = defineMethod(
  'quant.smooth',
  {
    /** 0: all difficulty stays in the activations, 1: all goes into the weights. */
    strength: z.number().min(0).max(1).default(0.5),
  },
  ({ strength }) =>
    scaleMovingMethod('quant.smooth', ['absMax'], async ({ consumers, consumerPaths }, { absMax }) => {
      const activations = await (absMax as NonNullable<typeof absMax>).toFloat32();
      const weights = await Promise.all(consumers.map((layer, i) => readWeight(layer, consumerPaths[i])));
      const scales = smoothScales(activations, columnMaxima(weights, activations.length), strength);
      return { scales, measured: { largestScale: scales.reduce((a, b) => Math.max(a, b), 0) } };
    }),
);
