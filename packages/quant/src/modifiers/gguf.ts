import { defineMethod, linearSites, readWeight } from '@frugal/compress';
import { PackedTensor } from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';
import { PackedLinear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
import { importanceOf } from '../maths/importance.js';
import { backendOf, formatFor, packedEdits, planPacking, refusePacked } from './packing.js';

/**
 * Rounds to the block formats of GGUF files. With calibration data scales are chosen by an importance matrix, so that
 * Σ mean(x²) · (w - w')², the diagonal of the output error, is smallest; without, each weight counts alike.
 * A matrix that the embedding shares is rounded without: there each column is read as often as any other.
 */
export const ggufQuantization = defineMethod(
  'quant.gguf',
  {
    /** `q2_k` … `q6_k`, `q4_0`, `q4_1`, `q5_0`, `q5_1`, `q8_0`, `iq4_nl`. */
    format: z.string(),
    /** Another one for layers that the first cannot hold: k-quants need widths that are multiples of 256. */
    fallback: z.string().optional(),
    /** `calibration`: from calibration data where there is some; `none`: every weight counts alike. */
    importance: z.enum(['calibration', 'none']).default('calibration'),
    /** How activations are quantised when the model runs; default: what suits the format. */
    activation: z.enum(['none', 'int8', 'int8-block32']).optional(),
  },
  ({ format, fallback, importance, activation }) => ({
    sites: ['linear'],
    needs: { optionalStats: importance === 'calibration' ? ['squares', 'count'] : [] },
    plan(sites) {
      const problems = [format, ...(fallback ? [fallback] : [])].flatMap(formatProblem);
      if (problems.length > 0) return { sites: [], problems };
      const planned = linearSites(sites).map((site) => {
        if (site.layer instanceof PackedLinear)
          problems.push(`${site.path} is packed already (${site.layer.weight.format})`);
        const own = formatFor(site.layer, format, fallback);
        const place = planPacking(site, own, activation, problems);
        return own === format ? place : { ...place, note: own };
      });
      return { sites: planned, problems };
    },
    async apply(site, statsOf) {
      if (site.kind !== 'linear') return { edits: [] };
      refusePacked('quant.gguf', site);
      const { layer } = site;
      const shape = [layer.outFeatures, layer.inFeatures] as const;
      const own = formatFor(layer, format, fallback);
      const weigh = importance === 'calibration' && site.sharedWith.length === 0;
      const columns = weigh ? await importanceOf(statsOf(site.path)) : null;
      const packed = PackedTensor.pack(own, await readWeight(layer), shape, backendOf(layer), {
        importance: columns ?? undefined,
      });
      const measured = { importance: columns ? 'calibration' : 'none' };
      return { edits: packedEdits(site, packed, activation), measured };
    },
    async invariant(site) {
      if (site.kind !== 'linear') return null;
      const { base } = site.layer;
      const packed = base instanceof PackedLinear && [format, fallback].includes(base.weight.format);
      return packed ? null : 'the layer is no longer packed';
    },
  }),
);

function formatProblem(name: string): string[] {
  try {
    if (packedFormat(name).weighsColumns) return [];
    return [`${name} is no format of GGUF files; quant.rtn rounds to it`];
  } catch (error) {
    return [(error as Error).message];
  }
}
