import { noGrad, type Tensor } from '@frugal/tensor-core';
import type { Module } from '@frugal/tensor-core/nn';
import type { LowRank } from './adapted-linear.js';
import type { AdapterSet } from './adapter-set.js';
import { type AdapterOptions, baseLengths, placeAdapters, plannedAdapters } from './attach.js';
import { type PrincipalParts, principalParts } from './principal-parts.js';

/**
 * PiSSA (Meng et al. 2024, arXiv:2404.02948): adapters begin as the R largest singular values of their layer, s B A, which the
 * base is taken to lack. Here the base stays as it is, of any kind and bit for bit, and what the adapter began as is
 * subtracted beside it; the model computes what it did. Saved, it is an ordinary adapter of rank 2 R for the same base.
 * @throws ArgumentError as `attachAdapters` does
 */
export async function attachPrincipalAdapters(model: Module, options: AdapterOptions): Promise<AdapterSet> {
  const adapters = new Map<string, LowRank>();
  for (const { path, layer, rank, scale } of plannedAdapters(model, options)) {
    const weight = noGrad(() => layer.effectiveWeight());
    const { down, up } = scaled(await principalParts(weight, rank), scale);
    weight.dispose();
    adapters.set(path, {
      down,
      up,
      scale,
      magnitude: options.magnitudes ? noGrad(() => baseLengths(layer)) : null,
      origin: { down: down.copy(), up: up.copy() },
    });
  }
  return placeAdapters(model, adapters, options.rankStabilized ?? false);
}

/** Parts whose product is that of the given ones once it is multiplied by `scale`. */
export function scaled({ down, up }: PrincipalParts, scale: number): PrincipalParts {
  const divide = (part: Tensor) => {
    const divided = noGrad(() => part.div(Math.sqrt(scale)));
    part.dispose();
    return divided;
  };
  return { down: divide(down), up: divide(up) };
}
