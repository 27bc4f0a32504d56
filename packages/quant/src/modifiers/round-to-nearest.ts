import { defineMethod, linearSites, RecipeError, readWeight } from '@frugal/compress';
import { currentBackend, PackedTensor } from '@frugal/tensor-core';
import { packedByteLength } from '@frugal/tensor-core/formats';
import { Linear, type LinearLike, PackedLinear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { packedEdits, planPacking } from './packing.js';

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
      const { layer, path } = site;
      // An earlier stage may have packed what `plan` still saw as dense: rounding twice would add errors unnoticed.
      if (layer.base instanceof PackedLinear) {
        throw new RecipeError({
          where: 'quant.rtn',
          what: 'the layer is packed already',
          got: path,
          hint: 'Exclude it, or leave out the earlier stage.',
        });
      }
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

function backendOf({ base }: LinearLike) {
  return base instanceof Linear ? base.weight.value.backend : currentBackend();
}

/** The format, or the fallback for a layer that it cannot hold. */
function formatFor(layer: LinearLike, format: string, fallback: string | undefined): string {
  if (fallback === undefined) return format;
  try {
    packedByteLength(format, layer.outFeatures, layer.inFeatures);
    return format;
  } catch {
    return fallback;
  }
}
