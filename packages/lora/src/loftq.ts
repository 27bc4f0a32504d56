import { ArgumentError, noGrad, PackedTensor, scope, type Tensor } from '@frugal/tensor-core';
import { type ActivationFormat, type LinearLike, type Module, PackedLinear } from '@frugal/tensor-core/nn';
import type { LowRank } from './adapted-linear.js';
import type { AdapterSet } from './adapter-set.js';
import { type AdapterOptions, baseLengths, placeAdapters, plannedAdapters } from './attach.js';
import { denseDType } from './dense-weight.js';
import { scaled } from './principal-adapters.js';
import { type PrincipalParts, principalParts } from './principal-parts.js';

export interface LoftQOptions extends AdapterOptions {
  /** A packed format, see `@frugal/tensor-core/formats`. */
  readonly format: string;
  /** Rounds of quantising and decomposing. Default 5. */
  readonly rounds?: number;
}

/** A matrix as Q + B A. */
export interface LoftQ extends PrincipalParts {
  readonly quantized: PackedTensor;
}

/**
 * LoftQ (Li et al. 2023, arXiv:2310.08659, algorithm 1): quantises W - B A and decomposes W - Q in turn, so that Q and the
 * adapter together lie closer to W [F, C] than Q alone. The best round is kept: rounds need not get better.
 */
export async function loftq(
  weight: Tensor,
  { format, rank, rounds = 5 }: { readonly format: string; readonly rank: number; readonly rounds?: number },
): Promise<LoftQ> {
  if (!(rounds >= 1))
    throw new ArgumentError({ where: 'loftq', what: 'rounds', got: String(rounds), expected: '1 or more' });
  const [F, C] = weight.shape;
  let best: (LoftQ & { readonly error: number }) | null = null;
  let rest = await weight.toFloat32();
  for (let round = 0; round < rounds; round++) {
    const quantized = PackedTensor.pack(format, rest, [F, C], weight.backend);
    const residual = noGrad(() => scope(() => weight.sub(quantized.unpack())));
    const parts = await principalParts(residual, rank);
    const left = noGrad(() => scope(() => residual.sub(parts.up.matmul(parts.down)).pow(2).sum()));
    const next = noGrad(() => scope(() => weight.sub(parts.up.matmul(parts.down))));
    rest = await next.toFloat32();
    const error = await left.item();
    for (const each of [residual, left, next]) each.dispose();
    if (!best || error < best.error) {
      disposeAll(best);
      best = { quantized, ...parts, error };
    } else disposeAll({ quantized, ...parts });
  }
  return best as LoftQ;
}

/**
 * Quantises the targeted layers and attaches the adapters that make up for it (LoftQ). The packed weights stay when the
 * adapters are detached.
 * @throws ArgumentError as `attachAdapters` does, and for layers that are packed already
 */
export async function attachLoftQ(model: Module, options: LoftQOptions): Promise<AdapterSet> {
  const planned = plannedAdapters(model, options);
  const packed = planned.filter(({ path, layer }) => denseDType(model, path, layer.base) === null);
  if (packed.length > 0)
    throw new ArgumentError({
      where: 'attachLoftQ',
      what: 'layers are packed already',
      got: packed.map(({ path }) => path).join(', '),
      hint: 'Begin with the model before it was quantised, or attach plain adapters.',
    });
  const adapters = new Map<string, LowRank>();
  for (const { path, layer, rank, scale } of planned) {
    const weight = noGrad(() => layer.effectiveWeight());
    const { quantized, ...parts } = await loftq(weight, { ...options, rank });
    weight.dispose();
    const magnitude = options.magnitudes ? noGrad(() => baseLengths(layer)) : null;
    adapters.set(path, { ...scaled(parts, scale), scale, magnitude });
    replaceByPacked(model, path, layer, quantized);
  }
  return placeAdapters(model, adapters, options.rankStabilized ?? false);
}

function replaceByPacked(model: Module, path: string, layer: LinearLike, weight: PackedTensor): void {
  const activation = weight.recommendedActivation;
  const replacement = new PackedLinear(weight.prepare(), {
    bias: layer.bias,
    activation: activation === 'none' ? null : (activation as ActivationFormat),
  });
  const old = model.replace(path, replacement);
  const { weight: dense } = old as Partial<{ weight: { value: Tensor } }>;
  if (dense && [...old.members()].length > 0) dense.value.dispose();
}

function disposeAll(parts: LoftQ | null): void {
  for (const part of parts ? [parts.quantized, parts.down, parts.up] : []) part.dispose();
}
