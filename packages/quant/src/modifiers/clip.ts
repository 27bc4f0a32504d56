import { defineMethod, denseLayer, isDense, linearSites, readWeight, weightEdit } from '@frugal/compress';
import { z } from 'zod';
import { clipGroups } from '../maths/clip.js';

/**
 * Limits the largest weights of each group where that makes the rounding of the others so much finer that the layer's output
 * changes less: what AWQ does after its scales. The method that rounds follows in the same stage, with the same groups.
 */
export const clip = defineMethod(
  'quant.clip',
  {
    /** The grid that will be rounded to. */
    bits: z.number().int().min(2).max(8).default(4),
    groupSize: z.number().int().positive().default(128),
    zeroPoint: z.boolean().default(false),
    steps: z.number().int().min(1).default(10),
  },
  ({ steps, ...grid }) => ({
    sites: ['linear'],
    needs: { stats: ['gram'] },
    plan(sites) {
      const linear = linearSites(sites);
      return {
        sites: linear.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
        problems: linear.flatMap(({ path, layer }) =>
          isDense(layer) ? [] : [`${path} is not dense: clip before quantising`],
        ),
      };
    },
    async apply(site, statsOf) {
      if (site.kind !== 'linear') return { edits: [] };
      const { path } = site;
      const layer = denseLayer('quant.clip', site);
      const { gram } = statsOf(path);
      if (!gram) return { edits: [], measured: { note: 'no calibration row: not clipped' } };
      const weight = await readWeight(layer, path);
      const shape = [layer.outFeatures, layer.inFeatures] as const;
      const result = await clipGroups(weight, shape, { grid, gram, steps });
      const { clipped, error, errorBefore } = result;
      const measured = { clipped, errorShare: errorBefore > 0 ? error / errorBefore : 1 };
      return { edits: [weightEdit(site, result.weight)], measured };
    },
  }),
);
