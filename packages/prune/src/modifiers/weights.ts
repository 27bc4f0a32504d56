import {
  defineMethod,
  denseLayer,
  isDense,
  type LinearSite,
  linearSites,
  type ModifierFactory,
  readWeight,
  type Stats,
  type StatsOf,
  weightEdit,
} from '@frugal/compress';
import { ArgumentError, type Tensor } from '@frugal/tensor-core';
import { z } from 'zod';
import { outlierShare, owlSparsities } from '../maths/owl.js';
import { maskRows, parsePattern, type SparsityPattern } from '../maths/pattern.js';
import { magnitudeScores, wandaScores } from '../maths/scores.js';
import { sparseGpt } from '../maths/sparse-gpt.js';
import { Masks } from './masks.js';

interface Pruned {
  readonly weight: Float32Array;
  /** 1 = kept. */
  readonly mask: Uint8Array;
  readonly damping?: number;
}

/** What a method makes of one matrix: other weights, and which of them are zero for good. */
type PruneWeight = (
  weight: Float32Array,
  shape: readonly [number, number],
  pattern: SparsityPattern,
  stats: Stats,
) => Promise<Pruned>;

const options = {
  /** Share of zeros, or kept:of such as 2:4. */
  sparsity: z.union([z.number().min(0).lt(1), z.string().regex(/^\d+:\d+$/)]),
  /** `owl`: less in blocks with more outliers, the same on average; for shares, and with calibration data. */
  allocation: z.enum(['uniform', 'owl']).default('uniform'),
  /** How far sparsities of blocks may be from the average, above and below. */
  spread: z.number().gt(0).lt(0.5).default(0.08),
  /** An outlier is this many times the mean score of its layer. */
  outlier: z.number().gt(1).default(5),
};

/** Removes the smallest weights of each row (Han et al. 2015, arXiv:1506.02626). Needs no data. */
export const magnitude = weightPruning('prune.magnitude', [], (...given) => byMagnitude(...given));

/** Removes the weights with the smallest |w| · ‖x‖ of each row (Sun et al. 2023, arXiv:2306.11695). */
export const wanda = weightPruning('prune.wanda', ['squares'], async (weight, shape, pattern, { squares }) =>
  masked(weight, maskRows(wandaScores(weight, await (squares as Tensor).toFloat32()), shape, pattern)),
);

/** Removes weights and lets the others of their row make up for them (Frantar & Alistarh 2023, arXiv:2301.00774). */
export const sparseGptPruning = weightPruning(
  'prune.sparsegpt',
  ['gram'],
  async (weight, shape, pattern, { gram }) => sparseGpt(weight, shape, gram as Tensor, { pattern }),
);

function masked(weight: Float32Array, mask: Uint8Array): Pruned {
  return { weight: weight.map((value, i) => value * mask[i]), mask };
}

/** What is done where calibration says nothing: to an expert that no row reaches. */
const byMagnitude: PruneWeight = async (weight, shape, pattern) =>
  masked(weight, maskRows(magnitudeScores(weight), shape, pattern));

function weightPruning(
  type: string,
  stats: readonly ('squares' | 'gram')[],
  prune: PruneWeight,
): ModifierFactory {
  return defineMethod(type, options, ({ sparsity, allocation, spread, outlier }) => {
    const pattern = parsePattern(sparsity);
    const masks = new Masks();
    const isOwl = allocation === 'owl';
    if (isOwl && pattern.kind !== 'unstructured')
      throw new ArgumentError({ where: type, what: 'owl needs a share of zeros', got: String(sparsity) });
    let ofBlocks: ReadonlyMap<string, number> = new Map();
    return {
      sites: ['linear'],
      needs: {
        stats: [
          ...new Set([
            ...stats,
            ...(isOwl ? ['squares' as const] : []),
            ...(stats.length > 0 ? ['rows' as const] : []),
          ]),
        ],
      },
      ...(isOwl && {
        async select(sites, statsOf) {
          ofBlocks = await owlAllocation(linearSites(sites), statsOf, {
            sparsity: sparsity as number,
            spread,
            outlier,
          });
          return sites.map(({ path }) => path);
        },
      }),
      // Zeros take as much room as other weights, until a sparse format packs them.
      plan: (sites) => ({
        sites: linearSites(sites).map(({ path, layer }) => ({
          path,
          bytesBefore: layer.weightBytes,
          bytesAfter: layer.weightBytes,
        })),
        problems: linearSites(sites).flatMap((site) => problemsOf(site, pattern)),
      }),
      async apply(site, statsOf) {
        if (site.kind !== 'linear') return { edits: [] };
        const { path } = site;
        const layer = denseLayer(type, site);
        const shape = [layer.outFeatures, layer.inFeatures] as const;
        const known = statsOf(path);
        const isBlind = stats.length > 0 && !(known.rows && (await known.rows.item()) > 0);
        const method = isBlind ? byMagnitude : prune;
        const share = ofBlocks.get(blockOf(path));
        const own = share === undefined ? pattern : parsePattern(share);
        const before = await readWeight(layer, path);
        const { weight, mask, damping } = await method(before, shape, own, known);
        const zeros = mask.reduce((sum, kept) => sum + 1 - kept, 0) / mask.length;
        return {
          edits: [weightEdit(site, weight)],
          measured: {
            zeros,
            ...(damping !== undefined && { damping }),
            ...(isBlind && { note: 'no calibration row: by magnitude' }),
          },
        };
      },
      hold: (sites) => masks.hold(sites),
      invariant: async (site) => (site.kind === 'linear' ? masks.check(site) : null),
    };
  });
}

/** A block's path; layers outside are one part together. */
function blockOf(path: string): string {
  return /^(\w+\.\d+)\./.exec(path)?.[1] ?? '';
}

/** The sparsity of each block by its outliers. */
async function owlAllocation(
  sites: readonly LinearSite[],
  statsOf: StatsOf,
  {
    sparsity,
    spread,
    outlier,
  }: { readonly sparsity: number; readonly spread: number; readonly outlier: number },
): Promise<Map<string, number>> {
  const parts = new Map<string, { outliers: number; weights: number }>();
  for (const { path, layer } of sites) {
    const { squares } = statsOf(path);
    if (!squares) continue;
    const weight = await readWeight(layer, path);
    const { outliers, weights } = parts.get(blockOf(path)) ?? { outliers: 0, weights: 0 };
    const own = outlierShare(weight, await squares.toFloat32(), outlier) * weight.length;
    parts.set(blockOf(path), { outliers: outliers + own, weights: weights + weight.length });
  }
  const shares = [...parts.values()].map(({ outliers, weights }) => ({ share: outliers / weights, weights }));
  const sparsities = owlSparsities(shares, sparsity, spread);
  return new Map([...parts.keys()].map((block, i) => [block, sparsities[i]]));
}

function problemsOf({ path, layer }: LinearSite, pattern: SparsityPattern): string[] {
  if (!isDense(layer)) return [`${path} is not dense: prune before quantising`];
  if (pattern.kind === 'n:m' && layer.inFeatures % pattern.of !== 0)
    return [`${path} has ${layer.inFeatures} columns, which is no multiple of ${pattern.of}`];
  return [];
}
