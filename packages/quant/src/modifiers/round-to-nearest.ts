import { defineMethod, linearSites, readWeight } from '@frugal/compress';
import { PackedTensor } from '@frugal/tensor-core';
import { PackedLinear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { backendOf, formatFor, packedEdits, planPacking, refusePacked } from './packing.js';

/** Round-to-nearest: each weight becomes the closest value of a packed format. Needs no data. */
export const roundToNearest = defineMethod(
  'quant.rtn',
  {
    /** A packed format, see `@frugal/tensor-core/formats`. */
    format: z.string(),
    /** Another format for layers that the first cannot hold: k-quants need widths that are multiples of 256. */
    fallback: z.string().optional(),
    /** How activations are quantised when the model runs; default: what suits the format. */
    activation: z.enum(['none', 'int8', 'int8-block32']).optional(),
  },
  ({ format, fallback, activation }) => ({
    sites: ['linear'],
    needs: {},
    plan(sites) {
      const problems: string[] = [];
      const planned = linearSites(sites).map((site) => {
        const { path, layer } = site;
        if (layer instanceof PackedLinear)
          problems.push(`${path} is packed already (${layer.weight.format})`);
        const own = formatFor(layer, format, fallback);
        const planned = planPacking(site, own, activation, problems);
        return own === format ? planned : { ...planned, note: own };
      });
      return { sites: planned, problems };
    },
    async apply(site) {
      if (site.kind !== 'linear') return { edits: [] };
      const { layer } = site;
      refusePacked('quant.rtn', site);
      const shape = [layer.outFeatures, layer.inFeatures] as const;
      const own = formatFor(layer, format, fallback);
      const packed = PackedTensor.pack(own, await readWeight(layer), shape, backendOf(layer));
      return { edits: packedEdits(site, packed, activation) };
    },
    async invariant(site) {
      if (site.kind !== 'linear') return null;
      const { base } = site.layer;
      const packed = base instanceof PackedLinear && [format, fallback].includes(base.weight.format);
      return packed ? null : 'the layer is no longer packed';
    },
  }),
);
