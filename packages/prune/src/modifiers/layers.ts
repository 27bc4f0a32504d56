import { defineMethod, type StatsOf } from '@frugal/compress';
import { ArgumentError } from '@frugal/tensor-core';
import { z } from 'zod';

/**
 * Removes the blocks that change their input least, by the mean cosine between what goes in and what comes out (ShortGPT,
 * Men et al. 2024, arXiv:2403.03853). The result is an ordinary, shallower model.
 */
export const layerPruning = defineMethod(
  'prune.layers',
  {
    /** How many blocks go. */
    remove: z.number().int().positive().optional(),
    /** Or which share of them stays. */
    keep: z.number().gt(0).lt(1).optional(),
    /** The targeted blocks as they are, instead of the least important ones. */
    exactly: z.boolean().default(false),
  },
  ({ remove, keep, exactly }) => {
    if (!exactly && (remove === undefined) === (keep === undefined))
      throw new ArgumentError({ where: 'prune.layers', what: 'needs one of remove, keep and exactly' });
    const countOf = (blocks: number) =>
      exactly ? blocks : (remove ?? blocks - Math.max(1, Math.round(blocks * (keep as number))));
    const importance = new Map<string, number>();
    return {
      sites: ['block'],
      needs: { stats: exactly ? [] : ['blockRows', 'blockCosine'] },
      plan(sites) {
        const count = countOf(sites.length);
        const problems =
          (count > 0 && count < sites.length) || exactly
            ? []
            : [`${count} of ${sites.length} blocks cannot go`];
        return { sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })), problems };
      },
      async select(sites, statsOf) {
        if (exactly) return sites.map(({ path }) => path);
        for (const { path } of sites) importance.set(path, await influence(path, statsOf));
        const ranked = sites.map(({ path }) => path).sort((a, b) => importance.get(a)! - importance.get(b)!);
        return ranked.slice(0, countOf(sites.length));
      },
      async apply({ path }) {
        const known = importance.get(path);
        return {
          edits: [{ path, remove: true }],
          ...(known !== undefined && { measured: { influence: known } }),
        };
      },
    };
  },
);

/** 1 - mean cosine of a block: how much it turns the hidden states. */
async function influence(path: string, statsOf: StatsOf): Promise<number> {
  const { blockCosine, blockRows } = statsOf(path);
  if (!blockCosine || !blockRows)
    throw new ArgumentError({ where: 'prune.layers', what: `nothing is known of ${path}` });
  return 1 - (await blockCosine.item()) / blockRows;
}
