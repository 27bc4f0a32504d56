import { defineMethod } from '@frugal/compress';
import { packedFormat } from '@frugal/tensor-core/formats';
import { z } from 'zod';
import { importanceOf } from '../maths/importance.js';
import { planRounding, roundingOptions, roundLayer, staysPacked } from './rounding.js';

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
    /** `calibration`: from calibration data where there is some; `none`: every weight counts alike. */
    importance: z.enum(['calibration', 'none']).default('calibration'),
    ...roundingOptions,
  },
  ({ importance, ...rounding }) => ({
    sites: ['linear'],
    needs: { optionalStats: importance === 'calibration' ? ['squares', 'count'] : [] },
    plan(sites) {
      const { format, fallback } = rounding;
      const problems = [format, ...(fallback ? [fallback] : [])].flatMap(formatProblem);
      if (problems.length > 0) return { sites: [], problems };
      return { sites: planRounding(sites, rounding, problems), problems };
    },
    async apply(site, statsOf) {
      if (site.kind !== 'linear') return { edits: [] };
      const weigh = importance === 'calibration' && site.sharedWith.length === 0;
      const columns = weigh ? await importanceOf(statsOf(site.path)) : null;
      const edits = await roundLayer('quant.gguf', site, rounding, { importance: columns ?? undefined });
      return { edits, measured: { importance: columns ? 'calibration' : 'none' } };
    },
    invariant: (site) => staysPacked(site, rounding),
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
