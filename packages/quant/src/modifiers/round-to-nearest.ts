import { defineMethod } from '@frugal/compress';
import { z } from 'zod';
import { planRounding, roundingOptions, roundLayer, staysPacked } from './rounding.js';

/** Round-to-nearest: each weight becomes the closest value of a packed format. Needs no data. */
export const roundToNearest = defineMethod(
  'quant.rtn',
  {
    /** A packed format, see `@frugal/tensor-core/formats`. */
    format: z.string(),
    ...roundingOptions,
  },
  (rounding) => ({
    sites: ['linear'],
    needs: {},
    plan(sites) {
      const problems: string[] = [];
      return { sites: planRounding(sites, rounding, problems), problems };
    },
    async apply(site) {
      if (site.kind !== 'linear') return { edits: [] };
      return { edits: await roundLayer('quant.rtn', site, rounding) };
    },
    invariant: (site) => staysPacked(site, rounding),
  }),
);
