import {
  defineMethod,
  type LinearSite,
  linearSites,
  type ModifierFactory,
  RecipeError,
  readWeight,
  type Stats,
} from '@frugal/compress';
import { noGrad, tensor } from '@frugal/tensor-core';
import { Linear } from '@frugal/tensor-core/nn';
import { z } from 'zod';
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
};

/** Removes the smallest weights of each row (Han et al. 2015, arXiv:1506.02626). Needs no data. */
export const magnitude = weightPruning('prune.magnitude', [], async (weight, shape, pattern) =>
  masked(weight, maskRows(magnitudeScores(weight), shape, pattern)),
);

/** Removes the weights with the smallest |w| · ‖x‖ of each row (Sun et al. 2023, arXiv:2306.11695). */
export const wanda = weightPruning(
  'prune.wanda',
  ['squares'],
  async (weight, shape, pattern, { squares }) => {
    const scores = wandaScores(weight, await required(squares).toFloat32());
    return masked(weight, maskRows(scores, shape, pattern));
  },
);

/** Removes weights and lets the others of their row make up for them (Frantar & Alistarh 2023, arXiv:2301.00774). */
export const sparseGptPruning = weightPruning(
  'prune.sparsegpt',
  ['gram'],
  async (weight, shape, pattern, { gram }) => sparseGpt(weight, shape, required(gram), { pattern }),
);

function masked(weight: Float32Array, mask: Uint8Array): Pruned {
  return { weight: weight.map((value, i) => value * mask[i]), mask };
}

function required<T>(stat: T | undefined): T {
  if (stat) return stat;
  throw new RecipeError({
    where: 'prune',
    what: 'calibration never reached a layer',
    hint: 'Calibrate with more text, or exclude the layer.',
  });
}

function weightPruning(
  type: string,
  stats: readonly ('squares' | 'gram')[],
  prune: PruneWeight,
): ModifierFactory {
  return defineMethod(type, options, ({ sparsity }) => {
    const pattern = parsePattern(sparsity);
    const masks = new Masks();
    return {
      sites: ['linear'],
      needs: { stats: [...stats] },
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
        const layer = denseLayer(site);
        const shape = [layer.outFeatures, layer.inFeatures] as const;
        const { weight, mask, damping } = await prune(await readWeight(layer), shape, pattern, statsOf(path));
        masks.set(path, mask);
        const zeros = mask.reduce((sum, kept) => sum + 1 - kept, 0) / mask.length;
        return {
          edits: [{ path, values: { weight: sameKind(weight, layer) } }],
          measured: { zeros, ...(damping !== undefined && { damping }) },
        };
      },
      hold: (sites) => masks.hold(sites),
      invariant: async (site) => (site.kind === 'linear' ? masks.check(site) : null),
    };
  });
}

function problemsOf({ path, layer }: LinearSite, pattern: SparsityPattern): string[] {
  if (!(layer instanceof Linear)) return [`${path} is not dense: prune before quantising`];
  if (pattern.kind === 'n:m' && layer.inFeatures % pattern.of !== 0)
    return [`${path} has ${layer.inFeatures} columns, which is no multiple of ${pattern.of}`];
  return [];
}

/** An earlier stage may have packed what `plan` still saw as dense. */
function denseLayer({ path, layer }: LinearSite): Linear {
  if (layer instanceof Linear) return layer;
  throw new RecipeError({
    where: 'prune',
    what: 'a layer is no longer dense',
    got: path,
    hint: 'Put pruning before the stage that packs the weights.',
  });
}

function sameKind(weight: Float32Array, { weight: { shape, value } }: Linear) {
  return noGrad(() => tensor(weight, { shape, backend: value.backend }).cast(value.dtype));
}
